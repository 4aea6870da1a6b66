// A read that was asked for: where its bytes lie on the drive, where they go, what has come of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "command.h"
#include "dma-memory.h"
#include "pieces.h"

namespace ntx::nvme {

/// What a read ended with.
struct ReadResult {
  uint64_t id = 0;
  /// What the drive said, and of which byte of it.
  Status status;
  uint64_t offset = 0;
  /// Why there is no answer of the drive; empty: there is one.
  std::string reason;
};

/// Guarded by the reader's mutex once it is queued, except for what does not change while pieces of it are open.
struct Job {
  uint64_t id = 0;
  uint8_t* target = nullptr;
  uint64_t target_bytes = 0;
  std::vector<Run> runs;

  bool planned = false;
  std::vector<Piece> pieces;
  std::shared_ptr<Pinned> pinned;  // null: everything goes through bounce buffers
  size_t next = 0;                 // piece
  size_t open = 0;                 // pieces that workers have
  bool failed = false;
  ReadResult result;
};

/// A piece in a worker's hands.
struct Work {
  std::shared_ptr<Job> job;
  Piece piece;
  int attempts = 0;
};

}  // namespace ntx::nvme
