// The CPU backend's threads. A pass is one call of Pool::run: every worker walks the same op list and meets the others
// at sync(), so no thread is woken between ops (a wake costs tens of microseconds, a spin barrier well under one).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ntx {

class Pool;

/// For loops that wait for another thread.
void spin_pause();

/// One worker's view of the pass that is running.
class Worker {
 public:
  unsigned index() const { return index_; }
  unsigned count() const;

  /// Meets all workers of the pass: what any wrote before is visible to all after. Also rewinds take().
  void sync();

  /// Next piece [begin, end) of `total` items in pieces of `grain`, shared among the workers since the last sync();
  /// false when none is left. Every worker passes the same total and grain; one take() loop per sync().
  bool take(int64_t total, int64_t grain, int64_t& begin, int64_t& end);

 private:
  friend class Pool;
  Worker(Pool& pool, unsigned index) : pool_(pool), index_(index) {}
  Pool& pool_;
  unsigned index_;
};

class Pool {
 public:
  /// `threads` >= 1 counts the thread that calls run(). The others spin for `patience` after a pass before they sleep. Throws
  /// std::system_error where the system does not start so many.
  explicit Pool(unsigned threads, std::chrono::microseconds patience = {});
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  unsigned threads() const { return threads_; }

  /// Runs `pass` once on every worker, the caller being worker 0; returns when all have returned. Not reentrant.
  /// `pass` must not throw: op arguments are checked when a list is recorded.
  void run(const std::function<void(Worker&)>& pass);

 private:
  friend class Worker;
  void end();
  void serve(unsigned index);
  bool await_pass(uint64_t seen);

  const unsigned threads_;
  const std::chrono::microseconds patience_;
  std::vector<std::thread> helpers_;
  const std::function<void(Worker&)>* pass_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> epoch_{0};  // passes started; changes under mutex_
  std::atomic<bool> stopping_{false};

  // Each on its own cache line: they are written by all workers.
  alignas(64) std::atomic<unsigned> arrived_{0};
  alignas(64) std::atomic<uint64_t> phase_{0};
  alignas(64) std::atomic<int64_t> cursor_{0};
};

inline unsigned Worker::count() const { return pool_.threads_; }

}  // namespace ntx
