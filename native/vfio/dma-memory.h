// Memory that a drive may write to.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "transport.h"

namespace ntx::nvme {

/// The driver's own memory for queues, lists and bounce buffers: zeroed, on reserved huge pages where there are some
/// (one IOMMU entry each), else locked pages. The drive sees parts of DmaReach::contiguous_bytes (2 MiB or more): what
/// is smaller, a power of two and aligned to its size, lies in one of them.
class DmaMemory {
 public:
  /// Throws std::runtime_error with the limit in the way.
  DmaMemory(Transport& transport, uint64_t bytes);
  ~DmaMemory();
  DmaMemory(const DmaMemory&) = delete;
  DmaMemory& operator=(const DmaMemory&) = delete;

  uint8_t* data() const { return data_; }
  /// The drive's address of the byte at `offset`.
  uint64_t iova_at(uint64_t offset) const { return parts_[offset / part_bytes_] + offset % part_bytes_; }
  uint64_t bytes() const { return mapped_; }
  bool huge_pages() const { return huge_; }

 private:
  void map_parts();
  void release();

  Transport& transport_;
  uint8_t* data_ = nullptr;
  uint64_t mapped_ = 0, part_bytes_ = 0;
  std::vector<uint64_t> parts_;  // address of each for the drive
  bool huge_ = false;
};

/// Memory of others that the drive may write to for a while.
class Pinned {
 public:
  /// Pins the pages around [address, address + bytes). Throws std::runtime_error where they are beyond the drive's
  /// reach.
  Pinned(Transport& transport, uint8_t* address, uint64_t bytes);
  ~Pinned();
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

  /// The drive's address of a byte inside.
  uint64_t iova_of(const uint8_t* address) const { return iova_ + static_cast<uint64_t>(address - first_); }
  bool holds(const uint8_t* address, uint64_t bytes) const {
    return address >= first_ && bytes <= bytes_ && address - first_ <= static_cast<int64_t>(bytes_ - bytes);
  }

 private:
  Transport& transport_;
  uint8_t* first_;
  uint64_t bytes_, iova_ = 0;
};

/// What is pinned for longer than a read: the buffers that an engine streams through. Pins cost time for every page,
/// and stay with the pages: memory that is freed while it is pinned has to be released here, else reads into what takes
/// its place would go to the old pages.
class PinnedTable {
 public:
  void add(std::shared_ptr<Pinned> pinned, const uint8_t* address);
  void remove(const uint8_t* address);
  void clear();
  /// The pin that covers a range, or null.
  std::shared_ptr<Pinned> find(const uint8_t* address, uint64_t bytes) const;

 private:
  mutable std::mutex mutex_;
  std::map<const uint8_t*, std::shared_ptr<Pinned>> pins_;
};

}  // namespace ntx::nvme
