// The pass behind the one that runs, launched before its step is known. Launching a graph takes the processor some 50 us, in which
// the device would idle between two tokens. So while a pass of a decode runs, the next one is put behind a gate: the stream waits
// for a word in pinned memory. When its step comes, that is written to where the pass takes it from, and the gate opens.
//
// A step that is not the expected one opens the gate as well, before anything else is enqueued or allocated; so does the watcher
// where none comes, and a thread that calls nothing of CUDA where the watcher itself has to wait for the driver: a call of
// somebody else may hold the driver's locks until the device is idle, and the device waits for the gate. The pass then repeats
// the step before it, which writes what stands there already.
//
// NTX_CUDA_AHEAD=0 turns it off.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace ntx::cuda {

/// A list whose last pass may be followed by one of the same shape.
class Repeatable {
 public:
  /// On the watching thread, behind the closed gate: enqueues the next pass with the last one's step.
  virtual void enqueue_next() = 0;

 protected:
  ~Repeatable() = default;
};

/// Its functions are called under the engine's order, but for those that say otherwise.
class Ahead {
 public:
  Ahead() = default;
  ~Ahead();
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  /// Before anything else: finds the driver's call, without which nothing is ever enqueued ahead.
  void start();
  /// The list's pass has been enqueued and goes on from the one before it; null: another pass has been.
  void propose(Repeatable* list) { proposed_ = list; }
  /// What is proposed is to be enqueued now. `answered`: the event behind what the caller reads first, `expected` from now.
  void plan(cudaEvent_t answered, std::chrono::steady_clock::duration expected);
  /// True: the list's next pass waits behind the gate, which the caller opens.
  bool take(const Repeatable* list);
  void open();
  /// Nothing waits behind the gate afterwards, and nothing will.
  void abandon();
  /// Nothing waits behind the gate afterwards; what is only planned or proposed may still.
  void make_way() {
    if (state_ == State::waiting) abandon();
  }

  /// Whether the watcher has to tend(), and whether at once. From any thread.
  bool is_busy() const { return state_.load(std::memory_order_acquire) != State::idle; }
  bool is_planned() const { return state_.load(std::memory_order_acquire) == State::planned; }
  /// The watcher's turn: enqueues what is planned, opens the gate where nobody comes.
  void tend(cudaStream_t stream);

 private:
  enum class State { idle, planned, waiting };
  void keep_gate();

  void* wait_value_ = nullptr;       // cuStreamWaitValue32
  uint32_t* gate_ = nullptr;         // pinned; the last pass that may run
  std::atomic<uint32_t> passes_{0};  // those that have been put behind the gate
  std::atomic<State> state_{State::idle};
  Repeatable* proposed_ = nullptr;
  Repeatable* list_ = nullptr;  // of the planned or waiting pass
  cudaEvent_t answered_ = nullptr;
  std::chrono::steady_clock::time_point idle_since_{};
  uint32_t pause_ = 0;  // proposals to pass over, after one that was in vain
  std::atomic<std::chrono::steady_clock::duration> expected_{};
  std::mutex keeper_mutex_;
  std::condition_variable keeper_wake_;
  bool stopping_ = false;  // guarded by keeper_mutex_
  std::thread keeper_;
};

}  // namespace ntx::cuda
