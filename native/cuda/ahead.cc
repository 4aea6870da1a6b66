#include "ahead.h"

#include <cuda.h>

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

}  // namespace

Ahead::~Ahead() { cudaFreeHost(gate_); }

void Ahead::start() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t status =
      cudaGetDriverEntryPointByVersion("cuStreamWaitValue32", &found, kWaitValueVersion, cudaEnableDefault, &result);
  if (status == cudaSuccess && result == cudaDriverEntryPointSuccess) wait_value_ = found;
  cudaGetLastError();
  NTX_CUDA(cudaHostAlloc(reinterpret_cast<void**>(&gate_), sizeof(uint32_t), cudaHostAllocPortable | cudaHostAllocMapped));
  *gate_ = 0;
}

void Ahead::plan(cudaEvent_t answered) {
  Repeatable* const list = std::exchange(proposed_, nullptr);
  if (list == nullptr || wait_value_ == nullptr || state_ != State::idle) return;
  if (pause_ > 0) {
    --pause_;
    return;
  }
  list_ = list;
  answered_ = answered;
  state_ = State::planned;
}

bool Ahead::take(const Repeatable* list) {
  if (state_ != State::waiting || list_ != list) return false;
  state_ = State::idle;
  return true;
}

void Ahead::open() { std::atomic_ref(*gate_).store(passes_, std::memory_order_release); }

void Ahead::abandon() {
  if (state_ == State::waiting) {
    open();
    pause_ = kPause;
  }
  proposed_ = nullptr;
  state_ = State::idle;
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
    list_->enqueue_next();
    return;
  }
  if (state_ != State::waiting || cudaEventQuery(answered_) == cudaErrorNotReady) return;
  const auto now = std::chrono::steady_clock::now();
  if (idle_since_ == decltype(idle_since_){}) idle_since_ = now;
  if (now - idle_since_ > kPatience) abandon();
}

}  // namespace ntx::cuda
