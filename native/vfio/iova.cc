#include "iova.h"

#include <iterator>
#include <stdexcept>
#include <string>

namespace ntx::nvme {

IovaSpace::IovaSpace(const std::vector<IovaRange>& usable) {
  for (const IovaRange& range : usable) {
    // Address 0 stays unused, so that a command without a target does not name somebody's bytes.
    const uint64_t first = range.first == 0 ? 1 : range.first;
    if (range.last > first) give_back(first, range.last - first);
  }
}

uint64_t IovaSpace::take(uint64_t bytes, uint64_t alignment) {
  for (auto& [first, free] : free_) {
    const uint64_t start = (first + alignment - 1) / alignment * alignment;
    if (start < first || start - first > free || free - (start - first) < bytes) continue;
    const uint64_t before = start - first, after = free - before - bytes;
    if (before > 0) {
      free = before;
    } else {
      free_.erase(first);
    }
    if (after > 0) free_.emplace(start + bytes, after);
    return start;
  }
  throw std::runtime_error("the IOMMU has no " + std::to_string(bytes) + " addresses left for the drive");
}

void IovaSpace::give_back(uint64_t address, uint64_t bytes) {
  const auto next = free_.lower_bound(address);
  uint64_t end = address + bytes;
  if (next != free_.end() && next->first == end) {
    end += next->second;
    free_.erase(next);
  }
  const auto after = free_.upper_bound(address);
  if (after != free_.begin()) {
    const auto previous = std::prev(after);
    if (previous->first + previous->second == address) {
      previous->second = end - previous->first;
      return;
    }
  }
  free_.emplace(address, end - address);
}

}  // namespace ntx::nvme
