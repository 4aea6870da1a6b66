// A PCI device in this process's hands: VFIO's device (Documentation/driver-api/vfio.rst of Linux).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "container.h"
#include "pci.h"
#include "transport.h"

namespace ntx::nvme {

class VfioTransport : public Transport {
 public:
  /// `address`: "0000:02:00.0", bound to vfio-pci, in the container's group; `vectors`: interrupts that are wanted.
  /// Throws std::runtime_error with the step that the kernel refused.
  VfioTransport(const std::string& address, std::unique_ptr<Container> container, unsigned vectors);
  ~VfioTransport() override;

  uint64_t register_bytes() const override { return register_bytes_; }
  uint32_t read32(uint32_t offset) override;
  void write32(uint32_t offset, uint32_t value) override;
  DmaReach reach() const override { return container_->reach(); }
  uint64_t map(void* address, uint64_t bytes) override { return container_->map(address, bytes); }
  void unmap(uint64_t iova) override { container_->unmap(iova); }
  unsigned vectors() const override { return static_cast<unsigned>(interrupts_.size()); }
  void wait(unsigned vector, int wake, uint64_t nanoseconds) override;
  void relax() override;
  uint64_t now() override;
  bool removal_requested() const override { return removal_requested_; }
  void cut_off() override;
  std::string name() const override { return container_->name(); }

 private:
  void open_device();
  void map_registers();
  void set_up_interrupts(unsigned wanted);
  void signal_removal();

  std::string address_;
  std::unique_ptr<Container> container_;
  FileDescriptor device_;
  bool can_reset_ = false;
  PciConfiguration configuration_;
  volatile uint8_t* registers_ = nullptr;
  uint64_t register_bytes_ = 0;
  std::vector<FileDescriptor> interrupts_;
  FileDescriptor removal_;
  std::atomic<bool> removal_requested_{false};
};

}  // namespace ntx::nvme
