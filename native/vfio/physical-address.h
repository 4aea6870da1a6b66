// Where a huge page lies in the machine's memory.
#pragma once

#include <cstdint>
#include <vector>

namespace ntx::nvme {

constexpr uint64_t kHugePage = 2 << 20;

/// The physical address of a huge page from the entries of its small pages in /proc/self/pagemap
/// (Documentation/admin-guide/mm/pagemap.rst of Linux). Throws std::runtime_error unless they are what a huge page has:
/// all present, one after the other, from a multiple of its size on.
uint64_t huge_page_address(const std::vector<uint64_t>& entries, uint64_t page);

}  // namespace ntx::nvme
