// The drive's side of the IOMMU: which of its addresses are in use.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace ntx::nvme {

/// Addresses [first, last].
struct IovaRange {
  uint64_t first = 0, last = 0;
};

/// Hands out parts of the ranges that an IOMMU allows (interrupts and reserved memory make holes).
class IovaSpace {
 public:
  explicit IovaSpace(const std::vector<IovaRange>& usable);

  /// The lowest free address that is a multiple of `alignment` with `bytes` free behind it; throws std::runtime_error.
  uint64_t take(uint64_t bytes, uint64_t alignment);
  /// What `take` gave.
  void give_back(uint64_t address, uint64_t bytes);

 private:
  std::map<uint64_t, uint64_t> free_;  // first address -> bytes; neighbours are joined
};

}  // namespace ntx::nvme
