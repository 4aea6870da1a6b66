#include "physical-address.h"

#include <stdexcept>

namespace ntx::nvme {

namespace {

constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kFrameMask = (uint64_t{1} << 55) - 1;

}  // namespace

uint64_t huge_page_address(const std::vector<uint64_t>& entries, uint64_t page) {
  const uint64_t first = entries.front() & kFrameMask;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!(entries[i] & kPresent)) throw std::runtime_error("a page for the drive is not in memory");
    // Frame 0 is the firmware's: the kernel shows it for all pages to those who may not know.
    if (first == 0) throw std::runtime_error("physical addresses are hidden from this process: it needs CAP_SYS_ADMIN");
    if ((entries[i] & kFrameMask) != first + i) throw std::runtime_error("a page for the drive is no huge page");
  }
  if (entries.size() * page != kHugePage || first * page % kHugePage != 0) {
    throw std::runtime_error("a page for the drive is no huge page of 2 MiB");
  }
  return first * page;
}

}  // namespace ntx::nvme
