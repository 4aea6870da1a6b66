#include "vfio.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>

namespace ntx::nvme {

namespace {

constexpr uint32_t kNvmeClass = 0x010802;
constexpr uint64_t kPage = 4096, kHugePage = 2 << 20;
constexpr uint64_t kAllAddresses =
    (uint64_t{1} << 39) - 1;  // where the kernel does not list them: what VT-d has at least

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

FileDescriptor open_or_fail(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.is_open()) fail(path + " cannot be opened");
  return file;
}

FileDescriptor event() {
  FileDescriptor descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!descriptor.is_open()) fail("there is no eventfd");
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
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) != 0) fail("VFIO does not describe the drive's regions");
  return info;
}

}  // namespace

VfioTransport::VfioTransport(const std::string& address, unsigned group, unsigned vectors)
    : address_(address), group_number_(group) {
  open_group();
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

void VfioTransport::open_group() {
  container_ = open_or_fail("/dev/vfio/vfio");
  if (ioctl(container_.get(), VFIO_GET_API_VERSION) != VFIO_API_VERSION) {
    throw std::runtime_error("the kernel's VFIO has another version than 0");
  }
  if (ioctl(container_.get(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1) {
    throw std::runtime_error("the kernel has no VFIO for an IOMMU of this kind (type1v2)");
  }
  group_ = open_or_fail("/dev/vfio/" + std::to_string(group_number_));
  vfio_group_status status{};
  status.argsz = sizeof(status);
  if (ioctl(group_.get(), VFIO_GROUP_GET_STATUS, &status) != 0) fail("VFIO does not tell the group's state");
  if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
    throw std::runtime_error("a device of IOMMU group " + std::to_string(group_number_) +
                             " is in the hands of another driver");
  }
  int container = container_.get();
  if (ioctl(group_.get(), VFIO_GROUP_SET_CONTAINER, &container) != 0) fail("VFIO does not take the group");
  if (ioctl(container_.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) fail("VFIO does not set up the IOMMU");
  space_ = IovaSpace(usable_addresses());
}

std::vector<IovaRange> VfioTransport::usable_addresses() {
  vfio_iommu_type1_info head{};
  head.argsz = sizeof(head);
  if (ioctl(container_.get(), VFIO_IOMMU_GET_INFO, &head) != 0) fail("VFIO does not describe the IOMMU");
  std::vector<uint8_t> storage(head.argsz);
  auto* info = reinterpret_cast<vfio_iommu_type1_info*>(storage.data());
  info->argsz = head.argsz;
  if (ioctl(container_.get(), VFIO_IOMMU_GET_INFO, info) != 0) fail("VFIO does not describe the IOMMU");
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

void VfioTransport::open_device() {
  device_ = FileDescriptor(ioctl(group_.get(), VFIO_GROUP_GET_DEVICE_FD, address_.c_str()));
  if (!device_.is_open()) fail("VFIO does not give " + address_ + " away");
  vfio_device_info info{};
  info.argsz = sizeof(info);
  if (ioctl(device_.get(), VFIO_DEVICE_GET_INFO, &info) != 0) fail("VFIO does not describe " + address_);
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
  if (mapped == MAP_FAILED) fail("the registers of " + address_ + " cannot be mapped");
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

uint64_t VfioTransport::map(void* address, uint64_t bytes) {
  const bool huge = bytes >= kHugePage && reinterpret_cast<uintptr_t>(address) % kHugePage == 0;
  const std::scoped_lock lock(mappings_mutex_);
  vfio_iommu_type1_dma_map request{};
  request.argsz = sizeof(request);
  request.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  request.vaddr = reinterpret_cast<uintptr_t>(address);
  request.iova = space_.take(bytes, huge ? kHugePage : kPage);
  request.size = bytes;
  if (ioctl(container_.get(), VFIO_IOMMU_MAP_DMA, &request) == 0) {
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

void VfioTransport::unmap(uint64_t iova) {
  const std::scoped_lock lock(mappings_mutex_);
  const auto mapping = mappings_.find(iova);
  if (mapping == mappings_.end()) return;
  vfio_iommu_type1_dma_unmap request{};
  request.argsz = sizeof(request);
  request.iova = iova;
  request.size = mapping->second;
  ioctl(container_.get(), VFIO_IOMMU_UNMAP_DMA, &request);
  space_.give_back(iova, mapping->second);
  mappings_.erase(mapping);
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
