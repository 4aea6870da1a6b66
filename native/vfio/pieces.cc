#include "pieces.h"

#include <algorithm>

namespace ntx::nvme {

namespace {

constexpr uint64_t kPrpAlignment = 4;

/// Commands over [from, to), which lies in the run, through bounce buffers.
void plan_bounced(const Run& run, uint64_t from, uint64_t to, const PieceLimits& limits, std::vector<Piece>& pieces) {
  while (from < to) {
    const uint64_t block = from / limits.block_bytes;
    const uint64_t start = block * limits.block_bytes;
    const uint64_t end = std::min(to, start + limits.bounce_bytes);
    const uint64_t blocks = (end - start + limits.block_bytes - 1) / limits.block_bytes;
    pieces.push_back({block, static_cast<uint32_t>(blocks), true, static_cast<uint32_t>(from - start),
                      static_cast<uint32_t>(end - from), run.at + (from - run.offset)});
    from = end;
  }
}

}  // namespace

void plan_pieces(const Run& run, uint64_t address, bool direct, const PieceLimits& limits, std::vector<Piece>& pieces) {
  const uint64_t end = run.offset + run.bytes;
  const uint64_t first_whole = (run.offset + limits.block_bytes - 1) / limits.block_bytes * limits.block_bytes;
  const uint64_t last_whole = end / limits.block_bytes * limits.block_bytes;
  const bool aligned = (address + run.at + (first_whole - run.offset)) % kPrpAlignment == 0;
  if (!direct || !aligned || first_whole >= last_whole) return plan_bounced(run, run.offset, end, limits, pieces);
  plan_bounced(run, run.offset, first_whole, limits, pieces);
  for (uint64_t from = first_whole; from < last_whole;) {
    const uint64_t bytes = std::min<uint64_t>(last_whole - from, limits.direct_bytes);
    pieces.push_back({from / limits.block_bytes, static_cast<uint32_t>(bytes / limits.block_bytes), false, 0,
                      static_cast<uint32_t>(bytes), run.at + (from - run.offset)});
    from += bytes;
  }
  plan_bounced(run, last_whole, end, limits, pieces);
}

}  // namespace ntx::nvme
