#include "no-iommu-container.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <unistd.h>

#include <stdexcept>
#include <vector>

#include "physical-address.h"

namespace ntx::nvme {

NoIommuContainer::NoIommuContainer(unsigned group)
    : Container("/dev/vfio/noiommu-" + std::to_string(group), VFIO_NOIOMMU_IOMMU,
                "the kernel's VFIO has no mode without an IOMMU (CONFIG_VFIO_NOIOMMU), or it is off "
                "(enable_unsafe_noiommu_mode of the module vfio)"),
      pagemap_(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {
  if (!pagemap_.is_open()) fail_with_errno("/proc/self/pagemap cannot be opened");
}

DmaReach NoIommuContainer::reach() const { return {kHugePage, false, false}; }

uint64_t NoIommuContainer::map(void* address, uint64_t bytes) {
  if (bytes != kHugePage || reinterpret_cast<uintptr_t>(address) % kHugePage != 0) {
    throw std::runtime_error("without an IOMMU huge pages are given to the drive, each by itself, and nothing else");
  }
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::vector<uint64_t> entries(kHugePage / page);
  const auto size = static_cast<ssize_t>(entries.size() * sizeof(uint64_t));
  const uint64_t at = reinterpret_cast<uintptr_t>(address) / page * sizeof(uint64_t);
  if (pread(pagemap_.get(), entries.data(), static_cast<size_t>(size), static_cast<off_t>(at)) != size) {
    fail_with_errno("/proc/self/pagemap cannot be read");
  }
  return huge_page_address(entries, page);
}

}  // namespace ntx::nvme
