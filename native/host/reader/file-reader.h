// Reads ranges of a model's files into memory: split into pieces, every drive at its own queue depth.
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "drive.h"
#include "input-file.h"
#include "piece.h"

namespace ntx {

struct ReaderSettings {
  bool io_uring;
  /// Past the page cache, where the file system allows it.
  bool direct;
  /// With `direct`: what the page cache has already comes from there.
  bool use_cache;
  /// Requests that each drive has at a time.
  unsigned depth;
  /// Of one request to a drive; a multiple of 4096.
  uint32_t max_bytes;
};

class FileReader {
 public:
  /// Called on the reader's threads when requests have ended.
  using Progress = std::function<void()>;
  /// Throws std::system_error with the path, or with "io_uring".
  FileReader(const std::vector<std::string>& paths, const ReaderSettings& settings, Progress on_progress);
  /// Waits for the pieces that drives have.
  ~FileReader();

  size_t files() const { return files_.size(); }
  const InputFile& file(size_t index) const { return *files_[index]; }

  /// Starts to fill [to, to + bytes), which the caller keeps valid until the request with this number has ended.
  uint64_t read(size_t file, uint64_t offset, uint64_t bytes, uint8_t* to);
  /// Requests that have ended since the last call, in any order.
  std::vector<std::unique_ptr<Request>> take_ended();
  /// Ends what has not begun as cancelled.
  void drop();
  /// Memory that many reads will go to: pinned once where the kernel allows it. It stays where it is until the end.
  void attach(const std::vector<iovec>& memory);

  struct Statistics {
    uint64_t direct = 0, bounced = 0, buffered = 0;  // pieces that have ended
    unsigned peak = 0;                               // that one drive had at a time
    bool pinned = false;
  };
  Statistics statistics() const;

 private:
  std::vector<Piece> split(Request& request) const;
  void add(std::vector<Piece>& pieces, Request& request, uint64_t offset, uint64_t end, Way way) const;
  void ended(const Piece& piece, Outcome outcome);
  void finish(Request& request);

  const ReaderSettings settings_;
  const Progress on_progress_;
  std::vector<std::unique_ptr<InputFile>> files_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Request>> ended_;  // guarded by mutex_
  uint64_t requests_ = 0;
  std::array<std::atomic<uint64_t>, 3> pieces_{};  // ended, by Way
  std::map<dev_t, std::unique_ptr<Drive>> drives_;  // last: their threads use the rest
};

}  // namespace ntx
