#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "container.h"
#include "iova.h"

namespace ntx::nvme {

/// Behind an IOMMU (VFIO's type1v2): the drive reaches what is mapped for it and nothing else.
class IommuContainer : public Container {
 public:
  explicit IommuContainer(unsigned group);

  DmaReach reach() const override { return {}; }
  uint64_t map(void* address, uint64_t bytes) override;
  void unmap(uint64_t iova) override;
  std::string name() const override { return "VFIO, IOMMU group " + std::to_string(group_); }

 private:
  std::vector<IovaRange> usable_addresses() const;

  unsigned group_;
  std::mutex mutex_;
  IovaSpace space_;
  std::map<uint64_t, uint64_t> mappings_;  // address for the drive -> bytes
};

}  // namespace ntx::nvme
