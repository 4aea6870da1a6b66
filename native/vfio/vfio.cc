#include "vfio.h"

#include <linux/vfio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <stdexcept>

namespace ntx::nvme {

namespace {

constexpr uint32_t kNvmeClass = 0x010802;

FileDescriptor event() {
  FileDescriptor descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!descriptor.is_open()) fail_with_errno("there is no eventfd");
  return descriptor;
}

void drain(int descriptor) {
  uint64_t count;
  [[maybe_unused]] const ssize_t bytes = ::read(descriptor, &count, sizeof(count));
}

/// Sets the interrupts [0, count) of an index to these eventfds; false when the kernel refuses.
bool set_interrupts(int device, uint32_t index, const std::vector<FileDescriptor>& events) {
  std::vector<uint8_t> storage(sizeof(vfio_irq_set) + events.size() * sizeof(int32_t));
  auto* set = reinterpret_cast<vfio_irq_set*>(storage.data());
  set->argsz = static_cast<uint32_t>(storage.size());
  set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  set->index = index;
  set->count = static_cast<uint32_t>(events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    const int32_t number = events[i].get();
    std::memcpy(set->data + i * sizeof(number), &number, sizeof(number));
  }
  return ioctl(device, VFIO_DEVICE_SET_IRQS, set) == 0;
}

vfio_region_info region(int device, uint32_t index) {
  vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = index;
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) != 0) {
    fail_with_errno("VFIO does not describe the drive's regions");
  }
  return info;
}

}  // namespace

VfioTransport::VfioTransport(const std::string& address, std::unique_ptr<Container> container, unsigned vectors)
    : address_(address), container_(std::move(container)) {
  open_device();
  map_registers();
  set_up_interrupts(vectors);
  signal_removal();
  // Memory-based controller initialization, NVM Express Base Specification 2.0, 3.5.1, step 1: the PCI registers.
  configuration_.set_bus_master(true);
}

VfioTransport::~VfioTransport() {
  if (registers_ != nullptr) munmap(const_cast<uint8_t*>(registers_), register_bytes_);
}

void VfioTransport::open_device() {
  device_ = container_->open_device(address_);
  vfio_device_info info{};
  info.argsz = sizeof(info);
  if (ioctl(device_.get(), VFIO_DEVICE_GET_INFO, &info) != 0) fail_with_errno("VFIO does not describe " + address_);
  can_reset_ = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
  configuration_ = PciConfiguration(device_.get(), region(device_.get(), VFIO_PCI_CONFIG_REGION_INDEX).offset);
  if (configuration_.device_class() != kNvmeClass) throw std::runtime_error(address_ + " is no NVMe drive");
}

void VfioTransport::map_registers() {
  const vfio_region_info info = region(device_.get(), VFIO_PCI_BAR0_REGION_INDEX);
  if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP) || info.size < 0x2000) {
    throw std::runtime_error("the registers of " + address_ + " cannot be mapped");
  }
  void* mapped =
      mmap(nullptr, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device_.get(), static_cast<off_t>(info.offset));
  if (mapped == MAP_FAILED) fail_with_errno("the registers of " + address_ + " cannot be mapped");
  registers_ = static_cast<volatile uint8_t*>(mapped);
  register_bytes_ = info.size;
}

void VfioTransport::set_up_interrupts(unsigned wanted) {
  vfio_irq_info info{};
  info.argsz = sizeof(info);
  info.index = VFIO_PCI_MSIX_IRQ_INDEX;
  if (ioctl(device_.get(), VFIO_DEVICE_GET_IRQ_INFO, &info) != 0 || !(info.flags & VFIO_IRQ_INFO_EVENTFD)) return;
  for (unsigned i = 0; i < std::min(wanted, info.count); ++i) interrupts_.push_back(event());
  if (!interrupts_.empty() && !set_interrupts(device_.get(), VFIO_PCI_MSIX_IRQ_INDEX, interrupts_)) interrupts_.clear();
}

/// The kernel asks for the device back through an interrupt of its own.
void VfioTransport::signal_removal() {
  std::vector<FileDescriptor> events;
  events.push_back(event());
  if (set_interrupts(device_.get(), VFIO_PCI_REQ_IRQ_INDEX, events)) removal_ = std::move(events.front());
}

uint32_t VfioTransport::read32(uint32_t offset) {
  const uint32_t value = *reinterpret_cast<volatile uint32_t*>(registers_ + offset);
  std::atomic_thread_fence(std::memory_order_acquire);
  return value;
}

void VfioTransport::write32(uint32_t offset, uint32_t value) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  *reinterpret_cast<volatile uint32_t*>(registers_ + offset) = value;
}

void VfioTransport::wait(unsigned vector, int wake, uint64_t nanoseconds) {
  pollfd descriptors[3] = {{wake, POLLIN, 0}, {removal_.get(), POLLIN, 0}, {-1, POLLIN, 0}};
  if (vector > 0 && vector < interrupts_.size()) descriptors[2].fd = interrupts_[vector].get();
  const timespec limit{static_cast<time_t>(nanoseconds / 1'000'000'000),
                       static_cast<long>(nanoseconds % 1'000'000'000)};
  if (ppoll(descriptors, 3, &limit, nullptr) <= 0) return;
  for (const pollfd& descriptor : descriptors) {
    if (descriptor.revents & POLLIN) drain(descriptor.fd);
  }
  if (descriptors[1].revents & POLLIN) removal_requested_ = true;
}

void VfioTransport::relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

uint64_t VfioTransport::now() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

void VfioTransport::cut_off() {
  try {
    configuration_.set_bus_master(false);
  } catch (const std::runtime_error&) {
    // It is not on the bus any more, where it could write to nothing.
  }
  if (can_reset_) ioctl(device_.get(), VFIO_DEVICE_RESET);
}

}  // namespace ntx::nvme
