#include "dma-memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ntx::nvme {

namespace {

constexpr uint64_t kHugePage = 2 << 20;

uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

uint8_t* map_pages(uint64_t bytes, int flags) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | flags, -1, 0);
  return data == MAP_FAILED ? nullptr : static_cast<uint8_t*>(data);
}

}  // namespace

DmaMemory::DmaMemory(Transport& transport, uint64_t bytes) : transport_(transport) {
  mapped_ = round_up(bytes, kHugePage);
  data_ = map_pages(mapped_, MAP_HUGETLB);
  huge_ = data_ != nullptr;
  if (!huge_) {
    mapped_ = round_up(bytes, static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
    data_ = map_pages(mapped_, 0);
  }
  if (data_ == nullptr) {
    throw std::runtime_error("there is no memory for " + std::to_string(mapped_) +
                             " bytes of queues: " + std::strerror(errno));
  }
  try {
    iova_ = transport_.map(data_, mapped_);
  } catch (...) {
    munmap(data_, mapped_);
    throw;
  }
}

DmaMemory::~DmaMemory() {
  transport_.unmap(iova_);
  munmap(data_, mapped_);
}

Pinned::Pinned(Transport& transport, uint8_t* address, uint64_t bytes) : transport_(transport) {
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
