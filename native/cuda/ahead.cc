#include "ahead.h"

#include <cuda.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "cuda-error.h"

namespace ntx::cuda {

namespace {

using WaitValue = CUresult (*)(CUstream, CUdeviceptr, cuuint32_t, unsigned);
/// Of cuStreamWaitValue32 as this file calls it: CUDA 11.7.
constexpr unsigned kWaitValueVersion = 11070;
/// The gate of a pass that nobody has come for opens this long after the device became idle: others may want it.
constexpr auto kPatience = std::chrono::milliseconds(3);
constexpr uint32_t kPause = 16;
/// A gate that stays closed for longer than this has been forgotten by everybody else.
constexpr auto kKeeperNap = std::chrono::milliseconds(10);
constexpr auto kLongestWait = std::chrono::milliseconds(40);
constexpr int kLongestPasses = 4;

}  // namespace

Ahead::~Ahead() {
  {
    std::lock_guard lock(keeper_mutex_);
    stopping_ = true;
  }
  keeper_wake_.notify_all();
  if (keeper_.joinable()) keeper_.join();
  cudaFreeHost(gate_);
}

void Ahead::start() {
  const char* wanted = std::getenv("NTX_CUDA_AHEAD");
  if (wanted != nullptr && std::strcmp(wanted, "0") == 0) return;
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t status =
      cudaGetDriverEntryPointByVersion("cuStreamWaitValue32", &found, kWaitValueVersion, cudaEnableDefault, &result);
  if (status == cudaSuccess && result == cudaDriverEntryPointSuccess) wait_value_ = found;
  cudaGetLastError();
  NTX_CUDA(cudaHostAlloc(reinterpret_cast<void**>(&gate_), sizeof(uint32_t), cudaHostAllocPortable | cudaHostAllocMapped));
  *gate_ = 0;
  keeper_ = std::thread([this] { keep_gate(); });
}

void Ahead::plan(cudaEvent_t answered, std::chrono::steady_clock::duration expected) {
  Repeatable* const list = std::exchange(proposed_, nullptr);
  if (list == nullptr || wait_value_ == nullptr || state_ != State::idle) return;
  if (pause_ > 0) {
    --pause_;
    return;
  }
  list_ = list;
  answered_ = answered;
  expected_ = expected;
  state_ = State::planned;
}

bool Ahead::take(const Repeatable* list) {
  State waiting = State::waiting;
  return list_ == list && state_.compare_exchange_strong(waiting, State::idle);
}

void Ahead::open() { std::atomic_ref(*gate_).store(passes_, std::memory_order_release); }

void Ahead::abandon() {
  proposed_ = nullptr;
  if (state_.exchange(State::idle) != State::waiting) return;
  open();
  pause_ = kPause;
}

/// On a thread of its own, which no lock but its own holds up.
void Ahead::keep_gate() {
  uint32_t pass = 0;
  auto since = std::chrono::steady_clock::now();
  std::unique_lock lock(keeper_mutex_);
  for (;;) {
    // Not for ever: who makes it wait does not hold the lock when he says so.
    keeper_wake_.wait_for(lock, kLongestWait, [&] { return stopping_ || state_ == State::waiting; });
    if (keeper_wake_.wait_for(lock, kKeeperNap, [&] { return stopping_; })) return;
    const auto now = std::chrono::steady_clock::now();
    if (pass != passes_) {
      pass = passes_;
      since = now;
    }
    if (now - since < kLongestWait + kLongestPasses * expected_.load()) continue;
    State waiting = State::waiting;
    if (state_.compare_exchange_strong(waiting, State::idle)) open();
  }
}

void Ahead::tend(cudaStream_t stream) {
  if (state_ == State::planned) {
    const auto wait = reinterpret_cast<WaitValue>(wait_value_);
    const auto address = reinterpret_cast<CUdeviceptr>(gate_);
    if (wait(stream, address, passes_ + 1, CU_STREAM_WAIT_VALUE_GEQ) != CUDA_SUCCESS) {
      wait_value_ = nullptr;  // this device has no such operation
      state_ = State::idle;
      return;
    }
    ++passes_;
    idle_since_ = {};
    state_ = State::waiting;
    keeper_wake_.notify_one();
    list_->enqueue_next();
    return;
  }
  if (state_ != State::waiting || cudaEventQuery(answered_) == cudaErrorNotReady) return;
  const auto now = std::chrono::steady_clock::now();
  if (idle_since_ == decltype(idle_since_){}) idle_since_ = now;
  if (now - idle_since_ > kPatience) abandon();
}

}  // namespace ntx::cuda
