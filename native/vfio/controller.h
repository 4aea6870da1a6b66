// An NVMe controller: brought up, asked what it is, reset when it fails, shut down. Sections of the NVM Express Base
// Specification 2.0.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "queue-pair.h"
#include "registers.h"
#include "transport.h"

namespace ntx::nvme {

struct DriveOptions {
  uint32_t namespace_id = 1;
  /// I/O queue pairs, one a thread.
  uint16_t queues = 1;
  /// Commands in flight in each.
  uint16_t depth = 64;
  /// Bytes of one command at most.
  uint32_t command_bytes = 1 << 20;
  /// After which a command is aborted, and after as much again the controller reset.
  uint64_t timeout_ns = 8'000'000'000;
  /// Of looking for completions before sleeping until the interrupt. Commands of 1 MiB take longer, and others are in
  /// flight meanwhile: looking longer would use up a processor and read nothing sooner.
  uint64_t spin_ns = 10'000;
  bool interrupts = true;
};

struct DriveInfo {
  std::string serial, model, firmware;
  uint16_t vendor = 0;
  uint32_t version = 0;
  uint32_t block_bytes = 0;
  uint64_t blocks = 0;
  /// Of one command: the drive's limit (MDTS) or ours.
  uint32_t command_bytes = 0;
  /// The drive's own limit; 0: it has none.
  uint64_t transfer_limit = 0;
  uint16_t queues = 0, depth = 0;
  uint64_t page = 4096;
  bool interrupts = false, huge_pages = false;
};

/// A command of ours that the controller refused.
class CommandRefused : public std::runtime_error {
 public:
  CommandRefused(const std::string& what, Status status)
      : std::runtime_error(what + ": status type " + std::to_string(status.type) + ", code " +
                           std::to_string(status.code)),
        status(status) {}
  Status status;
};

class Controller {
 public:
  Controller(Transport& transport, const DriveOptions& options);

  /// Brings the controller up with its I/O queues. Throws std::runtime_error with the step that failed, DriveLost when
  /// nobody answers.
  void start();
  /// The same again after a failure: commands in flight are gone and write to memory no more. The queues are the same
  /// objects.
  void restart();
  /// Leaves the drive as a power-off should find it (3.6.1). Never throws.
  void shut_down() noexcept;

  /// True when the controller reports a fatal status or somebody else has disabled it. Throws DriveLost when it is
  /// gone.
  bool has_failed();
  /// Abort of a command in an I/O queue (5.1): true when the controller says that it took it back.
  bool abort(uint16_t queue, uint16_t command_id);

  const DriveInfo& info() const { return info_; }
  const DriveOptions& options() const { return options_; }
  ReadQueue& queue(size_t index) { return *queues_[index]; }

 private:
  void disable();
  void enable();
  void identify();
  void check_namespace(const uint8_t* data);
  void create_queues();
  uint32_t status();
  void wait_for(const char* what, const std::function<bool(uint32_t)>& reached);
  uint32_t run(const char* what, const AdminCommand& command);

  Transport& transport_;
  DriveOptions options_;
  Capabilities capabilities_;
  DriveInfo info_;
  std::mutex admin_mutex_;
  std::unique_ptr<AdminQueue> admin_;
  std::unique_ptr<DmaMemory> page_;  // what Identify writes to
  std::vector<std::unique_ptr<ReadQueue>> queues_;
};

}  // namespace ntx::nvme
