#pragma once

#include "container.h"

namespace ntx::nvme {

/// Without an IOMMU (VFIO_NOIOMMU_IOMMU): the drive is told physical addresses, and a wrong one overwrites whatever
/// lies there. It is told those of the driver's own huge pages alone: the kernel neither swaps these out nor moves
/// them, as it does with ordinary pages behind a process's back.
class NoIommuContainer : public Container {
 public:
  /// `group`: N of /dev/vfio/noiommu-N, which takes CAP_SYS_RAWIO to open.
  explicit NoIommuContainer(unsigned group);

  DmaReach reach() const override;
  /// A single huge page of 2 MiB; its physical address, which takes CAP_SYS_ADMIN to see.
  uint64_t map(void* address, uint64_t bytes) override;
  void unmap(uint64_t) override {}
  std::string name() const override { return "VFIO without an IOMMU"; }

 private:
  FileDescriptor pagemap_;
};

}  // namespace ntx::nvme
