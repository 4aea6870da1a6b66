#include "iommu-container.h"

#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "physical-address.h"

namespace ntx::nvme {

namespace {

constexpr uint64_t kPage = 4096;
/// Where the kernel does not list them: what VT-d has at least.
constexpr uint64_t kAllAddresses = (uint64_t{1} << 39) - 1;

}  // namespace

IommuContainer::IommuContainer(unsigned group)
    : Container("/dev/vfio/" + std::to_string(group), VFIO_TYPE1v2_IOMMU,
                "the kernel has no VFIO for an IOMMU of this kind (type1v2)"),
      group_(group),
      space_(usable_addresses()) {}

std::vector<IovaRange> IommuContainer::usable_addresses() const {
  vfio_iommu_type1_info head{};
  head.argsz = sizeof(head);
  if (ioctl(file(), VFIO_IOMMU_GET_INFO, &head) != 0) fail_with_errno("VFIO does not describe the IOMMU");
  std::vector<uint8_t> storage(head.argsz);
  auto* info = reinterpret_cast<vfio_iommu_type1_info*>(storage.data());
  info->argsz = head.argsz;
  if (ioctl(file(), VFIO_IOMMU_GET_INFO, info) != 0) fail_with_errno("VFIO does not describe the IOMMU");
  std::vector<IovaRange> ranges;
  uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;
  while (at != 0 && at + sizeof(vfio_info_cap_header) <= storage.size()) {
    const auto* header = reinterpret_cast<const vfio_info_cap_header*>(storage.data() + at);
    if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
      const auto* list = reinterpret_cast<const vfio_iommu_type1_info_cap_iova_range*>(header);
      for (uint32_t i = 0; i < list->nr_iovas; ++i) {
        ranges.push_back({list->iova_ranges[i].start, list->iova_ranges[i].end});
      }
    }
    at = header->next;
  }
  if (ranges.empty()) ranges.push_back({0, kAllAddresses});
  return ranges;
}

uint64_t IommuContainer::map(void* address, uint64_t bytes) {
  const bool huge = bytes >= kHugePage && reinterpret_cast<uintptr_t>(address) % kHugePage == 0;
  const std::scoped_lock lock(mutex_);
  vfio_iommu_type1_dma_map request{};
  request.argsz = sizeof(request);
  request.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  request.vaddr = reinterpret_cast<uintptr_t>(address);
  request.iova = space_.take(bytes, huge ? kHugePage : kPage);
  request.size = bytes;
  if (ioctl(file(), VFIO_IOMMU_MAP_DMA, &request) == 0) {
    mappings_[request.iova] = bytes;
    return request.iova;
  }
  const int error = errno;
  space_.give_back(request.iova, bytes);
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::string most = limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur) + " bytes";
  throw std::runtime_error("locking " + std::to_string(bytes) + " bytes for the drive failed: " + std::strerror(error) +
                           " (the limit of locked memory is " + most + ")");
}

void IommuContainer::unmap(uint64_t iova) {
  const std::scoped_lock lock(mutex_);
  const auto mapping = mappings_.find(iova);
  if (mapping == mappings_.end()) return;
  vfio_iommu_type1_dma_unmap request{};
  request.argsz = sizeof(request);
  request.iova = iova;
  request.size = mapping->second;
  ioctl(file(), VFIO_IOMMU_UNMAP_DMA, &request);
  space_.give_back(iova, mapping->second);
  mappings_.erase(mapping);
}

}  // namespace ntx::nvme
