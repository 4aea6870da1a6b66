// A PCI device in this process's hands: VFIO's container, group and device (Documentation/driver-api/vfio.rst of
// Linux).
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "file-descriptor.h"
#include "iova.h"
#include "pci.h"
#include "transport.h"

namespace ntx::nvme {

class VfioTransport : public Transport {
 public:
  /// `address`: "0000:02:00.0", bound to vfio-pci; `group`: its IOMMU group; `vectors`: interrupts that are wanted.
  /// Throws std::runtime_error with the step that the kernel refused.
  VfioTransport(const std::string& address, unsigned group, unsigned vectors);
  ~VfioTransport() override;

  uint64_t register_bytes() const override { return register_bytes_; }
  uint32_t read32(uint32_t offset) override;
  void write32(uint32_t offset, uint32_t value) override;
  uint64_t map(void* address, uint64_t bytes) override;
  void unmap(uint64_t iova) override;
  unsigned vectors() const override { return static_cast<unsigned>(interrupts_.size()); }
  void wait(unsigned vector, int wake, uint64_t nanoseconds) override;
  void relax() override;
  uint64_t now() override;
  bool removal_requested() const override { return removal_requested_; }
  void cut_off() override;
  std::string name() const override { return "VFIO, IOMMU group " + std::to_string(group_number_); }

 private:
  void open_group();
  void open_device();
  void map_registers();
  void set_up_interrupts(unsigned wanted);
  void signal_removal();
  std::vector<IovaRange> usable_addresses();

  std::string address_;
  unsigned group_number_;
  FileDescriptor container_, group_, device_;
  bool can_reset_ = false;
  PciConfiguration configuration_;
  volatile uint8_t* registers_ = nullptr;
  uint64_t register_bytes_ = 0;
  std::vector<FileDescriptor> interrupts_;
  FileDescriptor removal_;
  std::atomic<bool> removal_requested_{false};
  std::mutex mappings_mutex_;
  IovaSpace space_{{}};
  std::map<uint64_t, uint64_t> mappings_;  // address for the drive -> bytes
};

}  // namespace ntx::nvme
