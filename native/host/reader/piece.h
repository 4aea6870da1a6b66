// What a read is cut into, and how it ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "input-file.h"

namespace ntx {

/// How a read failed: an errno, or one of these.
enum Failure : int {
  kOk = 0,
  kEnded = -1,      // the file is shorter than the read
  kCancelled = -2,  // the reader was closed before the read began
  kChanged = -3,    // the file was written to since it was opened
};

/// A range of a file on its way into memory. Ends when all of its pieces have ended.
struct Request {
  uint64_t id;
  InputFile* file;
  uint64_t offset, bytes;
  uint8_t* to;
  std::shared_ptr<void> memory;  // what `to` lies in, where that can be kept
  std::atomic<uint32_t> pieces{0};  // not yet ended
  std::atomic<bool> failed{false};
  // Of the piece that failed first; written by the thread that sets `failed`.
  int error = kOk;
  uint64_t error_offset = 0;
};

/// - direct: O_DIRECT into its place; offset, bytes and address are aligned.
/// - bounced: O_DIRECT into an aligned buffer, copied from there.
/// - buffered: through the page cache.
enum class Way : uint8_t { direct, bounced, buffered };

/// One request to the drive.
struct Piece {
  Request* request;
  uint64_t offset;
  uint32_t bytes;
  Way way;
  uint8_t* to;
};

/// How a piece ended: `offset` is the first byte of the file that could not be read.
struct Outcome {
  int error = kOk;
  uint64_t offset = 0;
};

}  // namespace ntx
