// Reads of a drive: jobs come in, workers share their pieces, results go out.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "worker.h"

namespace ntx::nvme {

struct ReaderStats {
  std::atomic<uint64_t> commands{0}, bytes{0}, bounced_bytes{0}, retries{0}, aborts{0}, resets{0}, sleeps{0};
};

class Reader {
 public:
  /// Calls come from the workers' threads.
  struct Events {
    std::function<void(ReadResult)> on_done;
    /// Once, when the drive can be used no more; all reads end with the same reason after it.
    std::function<void(std::string)> on_lost;
  };

  Reader(Transport& transport, Controller& controller, Events events);
  /// After stop().
  ~Reader();

  void start();
  /// `target` stays valid until on_done.
  void read(std::shared_ptr<Job> job);
  /// Ends after the reads that were asked for; with `drop`, after those that have begun.
  void stop(bool drop);

  PinnedTable& pins() { return pins_; }
  ReaderStats& stats() { return stats_; }
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }

  // For workers.
  std::optional<Work> take();
  void finish(const std::shared_ptr<Job>& job, const Status& status, uint64_t offset, const std::string& reason = "");
  bool stopping() const { return stopping_; }
  bool lost() const { return lost_; }
  uint64_t generation() const { return generation_; }
  /// Waits while another worker resets the controller.
  void wait_for_recovery();
  /// Resets the controller unless somebody has done so since `generation`.
  void recover(uint64_t generation);
  /// The drive can be used no more: its writes are stopped by force, then every read ends with the reason.
  void lose(const std::string& reason);
  void note_success() {
    if (resets_in_a_row_ != 0) resets_in_a_row_ = 0;
  }

 private:
  void plan(Job& job);
  void lose_locked(const std::string& reason);
  void with_workers_stopped(const std::function<void()>& work);

  Transport& transport_;
  Controller& controller_;
  Events events_;
  PinnedTable pins_;
  ReaderStats stats_;
  std::vector<std::unique_ptr<Worker>> workers_;

  std::mutex mutex_;  // of jobs_ and what is in them
  std::deque<std::shared_ptr<Job>> jobs_;
  std::atomic<bool> stopping_{false}, lost_{false}, recovering_{false};
  std::string lost_reason_;

  std::mutex recovery_mutex_;
  std::condition_variable recovered_;
  std::mutex recovered_mutex_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> resets_in_a_row_{0};
};

}  // namespace ntx::nvme
