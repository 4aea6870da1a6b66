#include "mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>

#include "machine.h"

namespace ntx {

namespace {

constexpr uint64_t kHugePage = 2 << 20;

std::atomic<uint64_t> live_bytes{0};

/// All mappings by their first byte.
struct Index {
  std::mutex mutex;
  std::map<const uint8_t*, Mapping*> mappings;
};

Index& live_mappings() {
  static Index index;
  return index;
}

uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

/// A fresh range of `bytes` at a multiple of `alignment`, or null with errno.
uint8_t* map_aligned(uint64_t bytes, uint64_t alignment, uint64_t page) {
  const uint64_t spare = alignment - page;
  void* raw = mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  auto* start = static_cast<uint8_t*>(raw);
  const uint64_t before = round_up(reinterpret_cast<uintptr_t>(start), alignment) - reinterpret_cast<uintptr_t>(start);
  if (before > 0) munmap(start, before);
  if (spare > before) munmap(start + before + bytes, spare - before);
  return start + before;
}

void reserve(uint64_t bytes) {
  static const uint64_t limit = memory_limit();
  const uint64_t live = live_bytes.fetch_add(bytes);
  if (bytes <= limit && live <= limit - bytes) return;
  live_bytes.fetch_sub(bytes);
  throw OutOfMemory(std::to_string(bytes) + " bytes do not fit beside the " + std::to_string(live) +
                    " bytes in use: this process can have " + std::to_string(limit));
}

}  // namespace

Mapping::Mapping(uint64_t bytes) : bytes_(bytes), mapped_(0) {
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  reserve(bytes);
  mapped_ = round_up(bytes > 0 ? bytes : 1, page);
  data_ = map_aligned(mapped_, bytes >= kHugePage ? kHugePage : page, page);
  if (data_ == nullptr) {
    const std::string reason = std::strerror(errno);
    live_bytes.fetch_sub(bytes);
    throw OutOfMemory("mapping " + std::to_string(bytes) + " bytes failed: " + reason);
  }
  if (bytes >= kHugePage) madvise(data_, mapped_, MADV_HUGEPAGE);  // a wish: not every kernel has huge pages
  Index& index = live_mappings();
  std::lock_guard lock(index.mutex);
  index.mappings.emplace(data_, this);
}

std::shared_ptr<Mapping> Mapping::around(const uint8_t* address) {
  Index& index = live_mappings();
  std::lock_guard lock(index.mutex);
  auto next = index.mappings.upper_bound(address);
  if (next == index.mappings.begin()) return nullptr;
  Mapping* mapping = std::prev(next)->second;
  return address < mapping->data_ + mapping->bytes_ ? mapping->weak_from_this().lock() : nullptr;
}

Mapping::~Mapping() {
  {
    Index& index = live_mappings();
    std::lock_guard lock(index.mutex);
    index.mappings.erase(data_);
  }
  release();
  munmap(data_, mapped_);
}

void Mapping::release() {
  if (released_.exchange(true)) return;
  madvise(data_, mapped_, MADV_DONTNEED);
  live_bytes.fetch_sub(bytes_);
}

}  // namespace ntx
