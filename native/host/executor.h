// The thread that runs passes: jobs in the order of their submission, each on all workers of one pool.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "mapping.h"
#include "op-list.h"
#include "worker.h"

namespace ntx {

class Executor {
 public:
  /// Called on the executor's thread: on_progress(false) after every job, on_progress(true) last of all, after stop().
  using Progress = std::function<void(bool stopped)>;
  /// `patience`, and what is thrown: see Pool.
  Executor(unsigned threads, std::chrono::microseconds patience, Progress on_progress);
  /// Waits for the job that is running; later ones are dropped.
  ~Executor();

  unsigned threads() const { return pool_.threads(); }

  // Each returns the job's number; numbers count from 1 and complete in order.
  /// Ops `first` up to `end` of the list.
  uint64_t submit(std::shared_ptr<const OpList> list, CheckedStep step, size_t first, size_t end);
  /// The same when a device has written `turn` into `words`, which is told when it has been done (../turns.h); or when stop()
  /// has been called and it never will be: the device waits for it.
  uint64_t take_turn(std::shared_ptr<const OpList> list, CheckedStep step, size_t first, size_t end,
                     std::shared_ptr<Mapping> words, uint32_t turn);
  uint64_t copy(std::shared_ptr<const Mapping> from, uint64_t from_offset, std::shared_ptr<Mapping> to,
                uint64_t to_offset, uint64_t bytes);
  /// Copies to memory that the caller keeps valid until the job has completed.
  uint64_t read(std::shared_ptr<const Mapping> from, uint64_t offset, uint64_t bytes, uint8_t* to);
  /// Writes the best of several reads of `bytes` of huge-page memory by all workers, in bytes a second.
  uint64_t measure_read_bandwidth(std::shared_ptr<const Mapping> memory, double* bytes_per_second);

  /// The number of the last job that has completed.
  uint64_t completed() const { return completed_.load(std::memory_order_acquire); }

  using Clock = std::chrono::steady_clock;
  struct Span {
    Clock::time_point began, ended;
  };
  /// When one of the last kSpans turns was at work. It has completed.
  Span turn_span(uint64_t job) const { return spans_[job % kSpans]; }

  /// Lets the running job end and starts no other; returns at once.
  void stop();

 private:
  static constexpr size_t kSpans = 1024;
  struct Job {
    std::function<void(Pool&)> run;
    std::function<void()> drop = nullptr;  // in place of it, after stop()
  };
  uint64_t enqueue(Job job);
  bool await_turn(Mapping& words, uint32_t turn) const;
  void serve();

  Pool pool_;
  const Progress on_progress_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;    // guarded by mutex_
  uint64_t submitted_ = 0;  // guarded by mutex_
  std::atomic<bool> stopping_{false};  // changes under mutex_
  std::array<Span, kSpans> spans_{};   // the executor thread's, until their jobs have completed
  std::atomic<uint64_t> completed_{0};
  std::thread thread_;
};

}  // namespace ntx
