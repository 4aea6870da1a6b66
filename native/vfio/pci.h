// A device's PCI configuration space as VFIO shows it.
#pragma once

#include <cstdint>

namespace ntx::nvme {

class PciConfiguration {
 public:
  PciConfiguration() = default;
  /// The configuration region of a VFIO device: its file and the region's offset in it.
  PciConfiguration(int device, uint64_t offset) : device_(device), offset_(offset) {}

  /// Class, subclass and programming interface: 010802h is NVMe. Throws std::runtime_error.
  uint32_t device_class() const;
  /// Lets the device answer at its BARs and write to memory (bus master), or forbids the latter. Throws
  /// std::runtime_error.
  void set_bus_master(bool on) const;

 private:
  uint32_t read(uint64_t offset, unsigned bytes) const;
  void write(uint64_t offset, uint32_t value, unsigned bytes) const;

  int device_ = -1;
  uint64_t offset_ = 0;
};

}  // namespace ntx::nvme
