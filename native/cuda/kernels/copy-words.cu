#include "copy-words.h"

#include <cstdint>

#include "launch.cuh"

namespace ntx::cuda {

namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kWords = 16;  // of a thread, all in flight at once
constexpr size_t kMostBytes = 1 << 20;

__global__ void __launch_bounds__(kThreads) copy_words(const uint32_t* from, uint32_t* to, uint32_t count) {
  wait_for_previous();
  const uint32_t first = blockIdx.x * kThreads * kWords + threadIdx.x;
  uint32_t words[kWords];
#pragma unroll
  for (uint32_t i = 0; i < kWords; ++i) {
    const uint32_t at = first + i * kThreads;
    if (at < count) words[i] = from[at];
  }
#pragma unroll
  for (uint32_t i = 0; i < kWords; ++i) {
    const uint32_t at = first + i * kThreads;
    if (at < count) to[at] = words[i];
  }
  // The next kernel begins when this one has ended: it may read a step's rows before it waits.
  __threadfence();
}

}  // namespace

bool is_small_copy(const void* from, const void* to, size_t bytes) {
  const uintptr_t together = reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to) | bytes;
  return bytes > 0 && bytes <= kMostBytes && together % sizeof(uint32_t) == 0;
}

void launch_copy_words(const void* from, void* to, size_t bytes, const DeviceTraits& traits, cudaStream_t stream) {
  const size_t words = bytes / sizeof(uint32_t);
  const size_t blocks = (words + kThreads * kWords - 1) / (kThreads * kWords);
  launch(copy_words, traits, stream, static_cast<unsigned>(blocks), kThreads, 0, static_cast<const uint32_t*>(from),
         static_cast<uint32_t*>(to), words);
}

}  // namespace ntx::cuda
