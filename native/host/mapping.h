// Page-aligned memory outside every heap: what weights, caches and activations lie in.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace ntx {

/// Memory that the machine does not have.
class OutOfMemory : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// `bytes` of zeroed memory, aligned to a page; from 2 MiB on aligned to 2 MiB, on huge pages where there are some.
/// Shared by the handle, its views and the lists recorded over it: the address range lives as long as any of these.
class Mapping : public std::enable_shared_from_this<Mapping> {
 public:
  /// The shared mapping that an address lies in, or null: to keep it while a thread writes there.
  static std::shared_ptr<Mapping> around(const uint8_t* address);

  /// Throws OutOfMemory when the system refuses, or when all live mappings together would exceed memory_limit().
  explicit Mapping(uint64_t bytes);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

  /// Gives the pages back at once. The range stays readable (as zeros), so that late views and lists do no harm.
  void release();
  bool released() const { return released_.load(std::memory_order_relaxed); }

 private:
  uint8_t* data_ = nullptr;
  uint64_t bytes_, mapped_;  // mapped_: rounded up to pages
  std::atomic<bool> released_{false};
};

}  // namespace ntx
