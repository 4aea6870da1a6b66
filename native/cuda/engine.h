// One device with its two streams. Everything is enqueued from one thread, JavaScript's, but for the pass ahead; a second thread
// watches events, so that nobody has to block for the device, and enqueues that.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ahead.h"
#include "cuda-error.h"
#include "kernels/product.h"
#include "stream-words.h"

namespace ntx::cuda {

/// What a stream has been asked to do gets a number, its ticket. They count from 1, and complete in order.
enum class StreamName : uint32_t { compute = 0, copies = 1 };
constexpr size_t kStreams = 2;

/// Where a read's bytes wait for JavaScript.
struct ReadBuffer {
  uint8_t* data;
  size_t capacity, bytes;
  bool busy;
};

class Engine {
 public:
  /// Called on the watching thread when a watched ticket has completed, or once when the device has failed.
  using Progress = std::function<void()>;
  Engine(int device, Progress on_progress);
  ~Engine();
  /// Ends the watching: on_progress is not called any more.
  void stop();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const DeviceTraits& traits() const { return traits_; }
  cudaStream_t compute() const { return stream(StreamName::compute).handle; }

  /// Makes the device that of the calling thread. Throws CudaError when the device has failed.
  void enter() const;

  /// Held by whoever enqueues more than one thing that belong together.
  std::unique_lock<std::recursive_mutex> order() { return std::unique_lock(order_); }
  /// To be used under order().
  Ahead& ahead() { return ahead_; }

  /// To be called before CUDA allocates or pins memory, for which it may wait until the device is idle.
  void make_way() {
    const auto own_order = order();
    ahead_.abandon();
  }

  /// To be called behind what was enqueued: its ticket.
  uint64_t mark(StreamName name);
  /// What is enqueued later on `name` waits on the device for a ticket of the other stream; 0: for nothing.
  void await(StreamName name, uint64_t other_ticket);
  /// Blocks until the ticket has completed: for what only happens when the caller is far ahead of the device.
  void block(StreamName name, uint64_t ticket);
  /// Blocks until everything has completed, whatever its outcome.
  void drain() noexcept;

  /// Copies on the compute stream, in order with everything there, or on the copy stream. Returns the ticket.
  uint64_t copy(StreamName name, const void* from, void* to, size_t bytes);
  /// A turn of the host (../turns.h) on the compute stream: `data` goes behind the words at `words`, and comes back from there.
  uint64_t hand_over(uint8_t* data, uint8_t* words, size_t bytes, uint32_t turn);
  /// The words lie in registered memory, and streams are given the host's address of them.
  bool can_hand_over() const { return reads_host_pointers_ && stream_words_.are_there(); }
  /// On the compute stream, without a ticket: what is enqueued behind it has one.
  void upload(const void* from, void* to, size_t bytes);
  struct Read { uint64_t ticket; uint32_t buffer; };
  Read read(const void* from, size_t bytes);
  /// The same, of what a pass is enqueued behind at once: nobody has to hurry when it is there.
  Read read_between(const void* from, size_t bytes);
  /// Behind a pass that is enqueued ahead: what was read behind the one before it.
  void read_ahead();
  /// The pass ahead of the last read_ahead() is the caller's, or nobody's: then what is read behind it is not wanted.
  void keep_read_ahead(bool wanted);
  const ReadBuffer& read_buffer(uint32_t index) const { return reads_.at(index); }
  void release_read(uint32_t index);
  /// Zeroes fresh device memory before anything else uses it.
  void clear(void* memory, size_t bytes);

  /// Asks for on_progress when the ticket has completed.
  void watch(StreamName name, uint64_t ticket);
  uint64_t completed(StreamName name) const { return stream(name).completed.load(std::memory_order_acquire); }
  bool is_watching();
  /// Called on JavaScript's thread at on_progress: waits for a ticket that is nearly there, at most for 0.3 ms.
  void settle();
  /// Seconds that settle() has waited so far.
  double settled_seconds() const { return settled_seconds_; }
  /// What the device failed with, if it has: nothing that it holds can be trusted any more.
  std::optional<std::string> failure() const;
  /// Keeps the first failure.
  void fail(const std::string& message);

 private:
  static constexpr size_t kEvents = 256;
  struct Stream {
    cudaStream_t handle = nullptr;
    /// A ticket's event is events[ticket % kEvents]. A later ticket that uses it again only makes a wait longer.
    std::array<cudaEvent_t, kEvents> events{};
    uint64_t marked = 0;
    std::vector<uint64_t> watched;  // guarded by mutex_
    std::atomic<uint64_t> completed{0};
  };
  Stream& stream(StreamName name) { return streams_[static_cast<size_t>(name)]; }
  const Stream& stream(StreamName name) const { return streams_[static_cast<size_t>(name)]; }
  uint32_t idle_read_buffer(size_t bytes);
  /// On the compute stream; either may be registered memory.
  void copy_in_order(const void* from, void* to, size_t bytes);
  Read enqueue_read(const void* from, size_t bytes);
  void drop_read_ahead();
  std::chrono::steady_clock::duration expected_wait();
  void serve();
  void tend_ahead();
  bool poll(Stream& stream);
  bool comes_near();
  void close() noexcept;

  std::recursive_mutex order_;  // taken before mutex_
  Ahead ahead_;
  StreamWords stream_words_;
  const int device_;
  DeviceTraits traits_{};
  bool reads_host_pointers_ = false;  // the device takes registered memory by the host's addresses
  std::array<Stream, kStreams> streams_;
  std::vector<ReadBuffer> reads_;
  /// What was read last; and the same again, behind the pass ahead.
  struct Range {
    const void* from = nullptr;
    size_t bytes = 0;
    bool operator==(const Range&) const = default;
  };
  Range last_read_;
  std::optional<Read> next_read_;
  bool next_read_wanted_ = false;
  const Progress on_progress_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<std::string> failure_;  // guarded by mutex_
  std::atomic<bool> failed_{false};
  bool stopping_ = false;  // guarded by mutex_
  /// When the last ticket of the compute stream was asked for, and how long the one before took from then on. Guarded by mutex_.
  std::chrono::steady_clock::time_point watched_at_{};
  std::chrono::steady_clock::duration last_wait_{};
  bool announced_ = true;
  uint64_t unhurried_ = 0;  // the last ticket of a read_between(); JavaScript's thread's own
  std::atomic<bool> is_near_{false};
  double settled_seconds_ = 0;  // JavaScript's thread's own
  std::chrono::steady_clock::time_point tended_at_{};  // the watcher's own
  std::thread watcher_;
};

}  // namespace ntx::cuda
