// A drive from opening to closing. What takes long (opening, pinning, closing) runs on a thread of its own, in order;
// reads go to the reader's threads.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controller.h"
#include "reader.h"

namespace ntx::nvme {

/// The end of a job, or (job 0) the news that the drive is lost.
struct DriveEvent {
  uint64_t job = 0;
  /// Empty: it went well.
  std::string error;
  /// Where the drive itself refused a read.
  Status status;
  uint64_t offset = 0;
};

class Drive {
 public:
  using Open = std::function<std::unique_ptr<Transport>()>;
  using Report = std::function<void(DriveEvent)>;

  /// `report` is called from other threads.
  Drive(DriveOptions options, Report report);
  /// Ends the reads that have begun, then as close().
  ~Drive();

  void open(uint64_t job, Open open);
  /// The target stays valid until the report.
  void read(uint64_t job, uint8_t* target, uint64_t target_bytes, std::vector<Run> runs);
  /// Keeps memory pinned, for reads into it; unpin before it is freed.
  void pin(uint64_t job, uint8_t* address, uint64_t bytes);
  void unpin(uint64_t job, const uint8_t* address);
  /// A single Read as it is given, into memory of the driver: what the controller says of commands that the reader
  /// never makes. The PRPs lie `prp1` and `prp2` bytes after a page of that memory.
  void probe(uint64_t job, uint32_t namespace_id, uint64_t block, uint32_t blocks, uint64_t prp1, uint64_t prp2);
  /// After the reads in flight: shuts the controller down and gives the device back.
  void close(uint64_t job);

  /// What an opened drive is.
  bool is_open() const { return open_; }
  const DriveInfo& info() const { return controller_->info(); }
  const ReaderStats& stats() const { return reader_->stats(); }
  std::string transport_name() const { return transport_->name(); }
  Transport& transport() { return *transport_; }

 private:
  void post(uint64_t job, std::function<void()> work);
  void run();
  void shut(bool drop);
  Status probe_now(uint32_t namespace_id, uint64_t block, uint32_t blocks, uint64_t prp1, uint64_t prp2);

  struct Task {
    uint64_t job;
    std::function<void()> work;
  };

  DriveOptions options_;
  Report report_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<Reader> reader_;
  std::atomic<bool> open_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace ntx::nvme
