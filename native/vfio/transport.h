// What stands between the driver and a controller: VFIO (vfio.h) or software (sim/drive.h).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace ntx::nvme {

/// The drive does not answer any more: pulled out, switched off, or failed so that no reset helps.
class DriveLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Which of this process's memory a drive can be let write to.
struct DmaReach {
  /// Bytes that are contiguous for the drive at most: what is larger is mapped in parts of this size.
  uint64_t contiguous_bytes = ~uint64_t{0};
  /// Memory that is not the driver's own. Else everything goes through the driver's buffers.
  bool foreign_memory = true;
  /// Pages of any size; else only reserved huge pages.
  bool ordinary_pages = true;
};

/// One controller's registers, its way to memory, its interrupts, and the clock. Called by several threads.
class Transport {
 public:
  virtual ~Transport() = default;

  /// Bytes of the registers that can be reached.
  virtual uint64_t register_bytes() const = 0;
  virtual uint32_t read32(uint32_t offset) = 0;
  virtual void write32(uint32_t offset, uint32_t value) = 0;
  /// 64-bit registers in two halves, low one first, which every controller takes (3.1.3).
  uint64_t read64(uint32_t offset) {
    const uint64_t low = read32(offset);
    return low | static_cast<uint64_t>(read32(offset + 4)) << 32;
  }
  void write64(uint32_t offset, uint64_t value) {
    write32(offset, static_cast<uint32_t>(value));
    write32(offset + 4, static_cast<uint32_t>(value >> 32));
  }

  virtual DmaReach reach() const { return {}; }
  /// Lets the drive write to whole pages of this process's memory within its reach, and returns their address for the
  /// drive. Throws std::runtime_error where the memory cannot be locked (a limit, a device's own mapping).
  virtual uint64_t map(void* address, uint64_t bytes) = 0;
  virtual void unmap(uint64_t iova) = 0;

  /// Interrupt vectors that completion queues may raise; 0: there are none, the driver has to look.
  virtual unsigned vectors() const = 0;
  /// Sleeps until the vector is raised, `wake` (an eventfd) is written to, the drive's removal is asked for or the time
  /// is up.
  virtual void wait(unsigned vector, int wake, uint64_t nanoseconds) = 0;
  /// One turn of a loop that looks for completions.
  virtual void relax() = 0;
  /// Nanoseconds of a clock that never goes back.
  virtual uint64_t now() = 0;

  /// Somebody wants the drive back: it is being pulled out or bound to another driver.
  virtual bool removal_requested() const { return false; }
  /// Stops the drive's writes to memory by force, whatever state it is in; it can be used no more.
  virtual void cut_off() = 0;
  /// How it reaches the drive: "VFIO, IOMMU group 4".
  virtual std::string name() const = 0;
};

}  // namespace ntx::nvme
