#include "dma-memory.h"

#include <linux/mman.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "physical-address.h"
#include "round-up.h"

namespace ntx::nvme {

namespace {

uint8_t* map_pages(uint64_t bytes, int flags) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | flags, -1, 0);
  return data == MAP_FAILED ? nullptr : static_cast<uint8_t*>(data);
}

}  // namespace

DmaMemory::DmaMemory(Transport& transport, uint64_t bytes) : transport_(transport) {
  const DmaReach reach = transport.reach();
  mapped_ = round_up(bytes, kHugePage);
  data_ = map_pages(mapped_, MAP_HUGETLB | MAP_HUGE_2MB);
  huge_ = data_ != nullptr;
  if (!huge_ && !reach.ordinary_pages) {
    throw std::runtime_error("without an IOMMU the driver's memory lies on huge pages, and there are not " +
                             std::to_string(mapped_ / kHugePage) + " free ones (sysctl vm.nr_hugepages)");
  }
  if (!huge_) {
    mapped_ = round_up(bytes, static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
    data_ = map_pages(mapped_, 0);
  }
  if (data_ == nullptr) {
    throw std::runtime_error("there is no memory for " + std::to_string(mapped_) +
                             " bytes of queues: " + std::strerror(errno));
  }
  part_bytes_ = std::min(mapped_, reach.contiguous_bytes);
  try {
    map_parts();
  } catch (...) {
    release();
    throw;
  }
}

DmaMemory::~DmaMemory() { release(); }

void DmaMemory::map_parts() {
  // A child that shared these pages would leave this process a copy of what it writes to, and the drive the old page.
  madvise(data_, mapped_, MADV_DONTFORK);
  for (uint64_t at = 0; at < mapped_; at += part_bytes_) {
    parts_.push_back(transport_.map(data_ + at, std::min(part_bytes_, mapped_ - at)));
  }
}

void DmaMemory::release() {
  for (const uint64_t iova : parts_) transport_.unmap(iova);
  munmap(data_, mapped_);
}

Pinned::Pinned(Transport& transport, uint8_t* address, uint64_t bytes) : transport_(transport) {
  if (!transport.reach().foreign_memory) {
    throw std::runtime_error("without an IOMMU the drive writes to no memory but the driver's own");
  }
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<uintptr_t>(address);
  first_ = address - start % page;
  bytes_ = round_up(start % page + bytes, page);
  iova_ = transport_.map(first_, bytes_);
}

Pinned::~Pinned() { transport_.unmap(iova_); }

void PinnedTable::add(std::shared_ptr<Pinned> pinned, const uint8_t* address) {
  const std::scoped_lock lock(mutex_);
  pins_[address] = std::move(pinned);
}

void PinnedTable::remove(const uint8_t* address) {
  const std::scoped_lock lock(mutex_);
  pins_.erase(address);
}

void PinnedTable::clear() {
  const std::scoped_lock lock(mutex_);
  pins_.clear();
}

std::shared_ptr<Pinned> PinnedTable::find(const uint8_t* address, uint64_t bytes) const {
  const std::scoped_lock lock(mutex_);
  auto after = pins_.upper_bound(address);
  if (after == pins_.begin()) return nullptr;
  const std::shared_ptr<Pinned>& pinned = std::prev(after)->second;
  return pinned->holds(address, bytes) ? pinned : nullptr;
}

}  // namespace ntx::nvme
