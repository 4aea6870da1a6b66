#include "pci.h"

#include <linux/pci_regs.h>
#include <unistd.h>

#include <stdexcept>

namespace ntx::nvme {

uint32_t PciConfiguration::read(uint64_t offset, unsigned bytes) const {
  uint32_t value = 0;
  if (pread(device_, &value, bytes, static_cast<off_t>(offset_ + offset)) != static_cast<ssize_t>(bytes)) {
    throw std::runtime_error("the drive's PCI configuration cannot be read");
  }
  return value;
}

void PciConfiguration::write(uint64_t offset, uint32_t value, unsigned bytes) const {
  if (pwrite(device_, &value, bytes, static_cast<off_t>(offset_ + offset)) != static_cast<ssize_t>(bytes)) {
    throw std::runtime_error("the drive's PCI configuration cannot be written");
  }
}

uint32_t PciConfiguration::device_class() const { return read(PCI_CLASS_REVISION, 4) >> 8; }

void PciConfiguration::set_bus_master(bool on) const {
  const uint32_t command = read(PCI_COMMAND, 2);
  const uint32_t master = on ? command | PCI_COMMAND_MASTER : command & ~static_cast<uint32_t>(PCI_COMMAND_MASTER);
  write(PCI_COMMAND, master | PCI_COMMAND_MEMORY, 2);
}

}  // namespace ntx::nvme
