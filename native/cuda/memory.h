// Device memory and pinned host memory. Shared by the handle, its views and the lists recorded over it.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>

#include "engine.h"

namespace ntx::cuda {

/// Memory that the device or the host does not have.
class OutOfMemory : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Block {
 public:
  /// `combined` is pinned and write-combined: host reads of it are slow, and snooping does not slow its copies.
  enum class Kind { device, pinned, combined, registered };

  /// Zeroed. Throws OutOfMemory.
  Block(std::shared_ptr<Engine> engine, uint64_t bytes, Kind kind);
  /// Pins pages that exist already, for as long as the block lives; the caller keeps them mapped.
  Block(std::shared_ptr<Engine> engine, uint8_t* data, uint64_t bytes);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Host memory has the same address on the device.
  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }
  bool is_host() const { return kind_ != Kind::device; }

  /// Gives device memory back, when what was enqueued has completed. Pinned memory stays until nobody has a view of it.
  void release();
  bool released() const { return released_; }

 private:
  void free() noexcept;

  std::shared_ptr<Engine> engine_;
  uint8_t* data_ = nullptr;
  const uint64_t bytes_;
  const Kind kind_;
  bool released_ = false;
};

}  // namespace ntx::cuda
