// One I/O queue pair and the thread that keeps it full.
#pragma once

#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "controller.h"
#include "job.h"

namespace ntx::nvme {

class Reader;

class Worker {
 public:
  Worker(Reader& reader, Transport& transport, Controller& controller, size_t index);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();
  void join();
  /// There is new work, or the end of it.
  void wake();

  /// Takes completions, puts in commands, rings. True when anything moved. Under mutex().
  bool turn();
  /// Looks at the controller and at commands that take too long; true when the controller has to be reset. Under
  /// mutex().
  bool check();
  /// After a reset: the commands in flight are gone and will be put in again. Under mutex().
  void requeue();
  /// Ends everything in hand with this reason. Under mutex().
  void give_up(const std::string& reason);

  /// Under mutex().
  bool idle() const { return queue_.in_flight() == 0 && retries_.empty(); }
  std::mutex& mutex() { return mutex_; }
  /// Bytes of a bounce buffer.
  uint32_t bounce_bytes() const { return bounce_bytes_; }

 private:
  struct Flight {
    Work work;
    uint64_t deadline = 0;
    bool aborted = false;
  };

  uint64_t bounce_at(uint16_t slot) const { return bounces_at_ + slot * bounce_stride_; }
  void run();
  /// With nothing to do until a completion or new work comes. `is_idle`: of the turn before, since another thread that resets
  /// the controller empties the queue for a moment, and whoever then took it for idle would sleep on its commands.
  void rest(bool is_idle, uint64_t quiet_since);
  bool submit();
  void issue(Work work);
  void complete(const Completion& completion);
  void again(Work work);
  bool check_deadline(uint16_t slot, uint64_t now);

  Reader& reader_;
  Transport& transport_;
  Controller& controller_;
  ReadQueue& queue_;
  unsigned vector_;
  uint32_t bounce_bytes_;
  /// Powers of two, so that none of them lies across the end of a part of the memory.
  uint64_t list_stride_, bounce_stride_;
  uint64_t bounces_at_;
  DmaMemory memory_;             // PRP lists of all slots, then bounce buffers
  std::vector<Flight> flights_;  // by slot
  std::deque<Work> retries_;
  uint64_t next_check_ = 0;
  int wake_ = -1;
  std::mutex mutex_;
  std::thread thread_;
};

}  // namespace ntx::nvme
