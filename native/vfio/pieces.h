// How a read of bytes becomes reads of whole logical blocks.
#pragma once

#include <cstdint>
#include <vector>

namespace ntx::nvme {

/// Bytes of the drive, and where they go in the target.
struct Run {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t at = 0;
};

/// One command.
struct Piece {
  uint64_t block = 0;
  uint32_t blocks = 0;
  /// Through a bounce buffer: `bytes` bytes from `skip` on are wanted. Else the drive writes all blocks to the target.
  bool bounce = false;
  uint32_t skip = 0;
  uint32_t bytes = 0;
  /// Where the wanted bytes go in the target.
  uint64_t at = 0;
};

struct PieceLimits {
  uint32_t block_bytes = 512;
  /// Of one command; multiples of block_bytes.
  uint32_t direct_bytes = 1 << 20;
  uint32_t bounce_bytes = 64 << 10;
};

/// Appends the commands of a run. Whole blocks go to the target where `direct` and they land on a multiple of 4 bytes
/// there (the alignment of PRP entries); the rest (incomplete blocks at the ends, all of it where the target is odd)
/// goes through bounce buffers. `address`: the target's, of which only the lowest bits count.
void plan_pieces(const Run& run, uint64_t address, bool direct, const PieceLimits& limits, std::vector<Piece>& pieces);

}  // namespace ntx::nvme
