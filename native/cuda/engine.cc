#include "engine.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <utility>

#include "../turns.h"
#include "kernels/copy-words.h"

namespace ntx::cuda {

namespace {

constexpr size_t kSmallestRead = 64 << 10;  // fits the candidates of 31 outputs
constexpr size_t kLargestKeptRead = 1 << 20;
constexpr size_t kReadBuffers = 4;
/// A decode step of a resident model is over within this: until then the watcher asks without a break, afterwards it sleeps in
/// between. Passes that take longer stream: then a core that asks is one that the processor's units need.
constexpr auto kEagerWatch = std::chrono::milliseconds(20);
constexpr auto kTend = std::chrono::milliseconds(1);
constexpr auto kNap = std::chrono::microseconds(50);
/// Waking a thread that has slept through a pass takes tens of microseconds, more on a virtual machine, in which the device has
/// nothing to do. So it is woken ahead of the expected end of a pass, and waits for that itself.
constexpr auto kWakeAhead = std::chrono::microseconds(150);
constexpr auto kSettle = std::chrono::microseconds(300);
constexpr auto kShortestExpected = std::chrono::microseconds(500);

ReadBuffer make_read_buffer(size_t bytes) {
  const size_t capacity = std::max(kSmallestRead, std::bit_ceil(bytes));
  void* data = nullptr;
  NTX_CUDA(cudaHostAlloc(&data, capacity, cudaHostAllocMapped));
  return {static_cast<uint8_t*>(data), capacity, 0, false};
}

}  // namespace

Engine::Engine(int device, Progress on_progress) : device_(device), on_progress_(std::move(on_progress)) {
  try {
    NTX_CUDA(cudaSetDevice(device));
    cudaDeviceProp properties{};
    NTX_CUDA(cudaGetDeviceProperties(&properties, device));
    traits_ = {properties.major, properties.minor, properties.multiProcessorCount, properties.sharedMemPerBlockOptin};
    int host_pointers = 0;
    NTX_CUDA(cudaDeviceGetAttribute(&host_pointers, cudaDevAttrCanUseHostPointerForRegisteredMem, device));
    reads_host_pointers_ = host_pointers != 0;
    for (Stream& stream : streams_) {
      NTX_CUDA(cudaStreamCreateWithFlags(&stream.handle, cudaStreamNonBlocking));
      for (cudaEvent_t& event : stream.events) NTX_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    }
    ahead_.start();
    for (size_t i = 0; i < kReadBuffers; ++i) reads_.push_back(make_read_buffer(kSmallestRead));
    stream_words_.start(compute(), reinterpret_cast<uint32_t*>(reads_.front().data));
  } catch (...) {
    close();
    throw;
  }
  watcher_ = std::thread([this] { serve(); });
}

Engine::~Engine() {
  stop();
  drain();
  close();
}

void Engine::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (watcher_.joinable()) watcher_.join();
  const auto own_order = order();
  ahead_.abandon();
}

// Failures change nothing any more.
void Engine::close() noexcept {
  cudaSetDevice(device_);
  for (ReadBuffer& read : reads_) cudaFreeHost(read.data);
  for (Stream& stream : streams_) {
    for (cudaEvent_t event : stream.events) {
      if (event != nullptr) cudaEventDestroy(event);
    }
    if (stream.handle != nullptr) cudaStreamDestroy(stream.handle);
  }
  cudaGetLastError();
}

void Engine::enter() const {
  if (failed_.load(std::memory_order_acquire)) throw CudaError(cudaErrorUnknown, *failure());
  NTX_CUDA(cudaSetDevice(device_));
}

uint64_t Engine::mark(StreamName name) {
  const auto own_order = order();
  Stream& own = stream(name);
  const uint64_t ticket = own.marked + 1;
  NTX_CUDA(cudaEventRecord(own.events[ticket % kEvents], own.handle));
  return own.marked = ticket;
}

void Engine::await(StreamName name, uint64_t other_ticket) {
  const StreamName other = name == StreamName::compute ? StreamName::copies : StreamName::compute;
  if (other_ticket <= completed(other)) return;
  const auto own_order = order();
  if (name == StreamName::compute) ahead_.abandon();
  NTX_CUDA(cudaStreamWaitEvent(stream(name).handle, stream(other).events[other_ticket % kEvents], 0));
}

void Engine::block(StreamName name, uint64_t ticket) {
  if (ticket <= completed(name)) return;
  const auto own_order = order();
  ahead_.abandon();
  NTX_CUDA(cudaEventSynchronize(stream(name).events[ticket % kEvents]));
}

void Engine::drain() noexcept {
  const auto own_order = order();
  cudaSetDevice(device_);
  ahead_.abandon();
  for (Stream& stream : streams_) cudaStreamSynchronize(stream.handle);
  cudaGetLastError();
}

uint64_t Engine::copy(StreamName name, const void* from, void* to, size_t bytes) {
  const auto own_order = order();
  if (name == StreamName::compute) {
    ahead_.abandon();
    copy_in_order(from, to, bytes);
  } else if (bytes > 0) {
    NTX_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream(name).handle));
  }
  return mark(name);
}

uint64_t Engine::hand_over(uint8_t* data, uint8_t* words, size_t bytes, uint32_t turn) {
  const auto own_order = order();
  ahead_.abandon();
  copy_in_order(data, words + kTurnHeader, bytes);
  stream_words_.write(compute(), words + kDeviceWord, turn);
  stream_words_.await(compute(), words + kHostWord, turn);
  copy_in_order(words + kTurnHeader, data, bytes);
  return mark(StreamName::compute);
}

void Engine::copy_in_order(const void* from, void* to, size_t bytes) {
  if (reads_host_pointers_ && is_small_copy(from, to, bytes)) {
    return launch_copy_words(from, to, bytes, traits_, compute());
  }
  if (bytes > 0) NTX_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, compute()));
}

void Engine::upload(const void* from, void* to, size_t bytes) {
  if (is_small_copy(from, to, bytes)) return launch_copy_words(from, to, bytes, traits_, compute());
  NTX_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, compute()));
}

Engine::Read Engine::read(const void* from, size_t bytes) {
  const auto own_order = order();
  const bool is_there = next_read_ && next_read_wanted_ && last_read_ == Range{from, bytes};
  Read result{};
  if (is_there) {
    result = *std::exchange(next_read_, std::nullopt);
  } else {
    drop_read_ahead();
    ahead_.make_way();
    result = enqueue_read(from, bytes);
  }
  last_read_ = {from, bytes};
  ahead_.plan(stream(StreamName::compute).events[result.ticket % kEvents], expected_wait());
  return result;
}

Engine::Read Engine::read_between(const void* from, size_t bytes) {
  const auto own_order = order();
  drop_read_ahead();
  ahead_.make_way();
  const Read result = enqueue_read(from, bytes);
  unhurried_ = result.ticket;
  return result;
}

std::chrono::steady_clock::duration Engine::expected_wait() {
  std::lock_guard lock(mutex_);
  return last_wait_;
}

Engine::Read Engine::enqueue_read(const void* from, size_t bytes) {
  const uint32_t index = idle_read_buffer(bytes);
  ReadBuffer& buffer = reads_[index];
  if (is_small_copy(from, buffer.data, bytes)) {
    launch_copy_words(from, buffer.data, bytes, traits_, compute());
  } else if (bytes > 0) {
    NTX_CUDA(cudaMemcpyAsync(buffer.data, from, bytes, cudaMemcpyDefault, compute()));
  }
  buffer.bytes = bytes;
  buffer.busy = true;
  return {mark(StreamName::compute), index};
}

void Engine::read_ahead() {
  drop_read_ahead();
  const auto [from, bytes] = last_read_;
  const auto fits = [&](const ReadBuffer& each) { return !each.busy && each.capacity >= bytes; };
  if (from == nullptr || std::none_of(reads_.begin(), reads_.end(), fits)) return;
  next_read_ = enqueue_read(from, bytes);
  next_read_wanted_ = false;
}

void Engine::keep_read_ahead(bool wanted) {
  next_read_wanted_ = wanted;
  if (!wanted) drop_read_ahead();
}

/// Its buffer may be used again at once: what is read into it later comes later.
void Engine::drop_read_ahead() {
  if (next_read_) reads_[next_read_->buffer].busy = false;
  next_read_.reset();
}

uint32_t Engine::idle_read_buffer(size_t bytes) {
  for (uint32_t i = 0; i < reads_.size(); ++i) {
    if (!reads_[i].busy && reads_[i].capacity >= bytes) return i;
  }
  for (uint32_t i = kReadBuffers; i < reads_.size(); ++i) {
    if (reads_[i].busy) continue;
    ReadBuffer larger = make_read_buffer(bytes);
    cudaFreeHost(reads_[i].data);
    reads_[i] = larger;
    return i;
  }
  reads_.push_back(make_read_buffer(bytes));
  return static_cast<uint32_t>(reads_.size() - 1);
}

void Engine::release_read(uint32_t index) {
  const auto own_order = order();
  ReadBuffer& buffer = reads_.at(index);
  buffer.busy = false;
  if (buffer.capacity <= kLargestKeptRead) return;
  cudaFreeHost(buffer.data);
  buffer.data = nullptr;
  buffer.capacity = 0;
}

void Engine::clear(void* memory, size_t bytes) {
  const auto own_order = order();
  ahead_.abandon();
  NTX_CUDA(cudaMemsetAsync(memory, 0, bytes, compute()));
  await(StreamName::copies, mark(StreamName::compute));
}

void Engine::watch(StreamName name, uint64_t ticket) {
  {
    std::lock_guard lock(mutex_);
    stream(name).watched.push_back(ticket);
    if (name == StreamName::compute) {
      watched_at_ = std::chrono::steady_clock::now();
      announced_ = ticket <= unhurried_;
    }
  }
  wake_.notify_one();
}

bool Engine::is_watching() {
  std::lock_guard lock(mutex_);
  return std::any_of(streams_.begin(), streams_.end(), [](const Stream& stream) { return !stream.watched.empty(); });
}

std::optional<std::string> Engine::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

void Engine::fail(const std::string& message) {
  {
    std::lock_guard lock(mutex_);
    if (failure_) return;
    failure_ = message;
    for (Stream& stream : streams_) stream.watched.clear();
    failed_.store(true, std::memory_order_release);
  }
  on_progress_();
}

// On the watching thread.
void Engine::serve() {
  cudaSetDevice(device_);
  std::unique_lock lock(mutex_);
  const auto has_work = [&] {
    return ahead_.is_busy() ||
           std::any_of(streams_.begin(), streams_.end(), [](const Stream& stream) { return !stream.watched.empty(); });
  };
  auto since = std::chrono::steady_clock::now();
  for (;;) {
    if (!stopping_ && !has_work()) {
      wake_.wait(lock, [&] { return stopping_ || has_work(); });
      since = std::chrono::steady_clock::now();
    }
    if (stopping_) return;
    bool progressed = false;
    for (Stream& stream : streams_) {
      if (!stream.watched.empty()) progressed |= poll(stream);
    }
    const bool near = !progressed && comes_near();
    const bool is_long = last_wait_ > kEagerWatch;
    lock.unlock();
    if (progressed || near) on_progress_();
    tend_ahead();
    if (progressed) {
      since = std::chrono::steady_clock::now();
    } else if (is_long || std::chrono::steady_clock::now() - since > kEagerWatch) {
      std::this_thread::sleep_for(kNap);
    } else {
      std::this_thread::yield();
    }
    lock.lock();
  }
}

/// Seldom, where nothing is to be enqueued: JavaScript's thread would wait for the lock.
void Engine::tend_ahead() {
  const auto now = std::chrono::steady_clock::now();
  if (!ahead_.is_planned() && (!ahead_.is_busy() || now < tended_at_ + kTend)) return;
  tended_at_ = now;
  const auto own_order = order();
  try {
    ahead_.tend(compute());
  } catch (const std::exception& error) {
    ahead_.abandon();
    fail(error.what());
  }
}

/// Under the lock. True once for what JavaScript waits for, shortly before it should complete.
bool Engine::comes_near() {
  if (announced_ || last_wait_ < kShortestExpected) return false;
  if (std::chrono::steady_clock::now() < watched_at_ + last_wait_ - kWakeAhead) return false;
  is_near_.store(true, std::memory_order_release);
  return announced_ = true;
}

void Engine::settle() {
  if (!is_near_.load(std::memory_order_acquire)) return;
  const auto began = std::chrono::steady_clock::now();
  auto now = began;
  while (is_near_.load(std::memory_order_acquire) && now < began + kSettle) {
    std::this_thread::yield();
    now = std::chrono::steady_clock::now();
  }
  settled_seconds_ += std::chrono::duration<double>(now - began).count();
}

/// Under the lock. True when a watched ticket has completed, or the device has failed.
bool Engine::poll(Stream& stream) {
  const uint64_t ticket = *std::min_element(stream.watched.begin(), stream.watched.end());
  const cudaError_t status =
      ticket <= stream.completed ? cudaSuccess : cudaEventQuery(stream.events[ticket % kEvents]);
  if (status == cudaErrorNotReady) return false;
  if (status == cudaSuccess) {
    std::erase_if(stream.watched, [&](uint64_t watched) { return watched <= ticket; });
    if (ticket > stream.completed) stream.completed.store(ticket, std::memory_order_release);
    if (&stream == &streams_[static_cast<size_t>(StreamName::compute)]) {
      last_wait_ = std::chrono::steady_clock::now() - watched_at_;
      announced_ = true;
      is_near_.store(false, std::memory_order_release);
    }
    return true;
  }
  cudaGetLastError();
  failure_ = describe(status, "the work on the device", __FILE__, __LINE__);
  for (Stream& each : streams_) each.watched.clear();
  failed_.store(true, std::memory_order_release);
  return true;
}

}  // namespace ntx::cuda
