// How fast can the device read its memory? Every multiprocessor reads its share in 16-byte loads, several in flight.
#include "read-bandwidth.h"

#include "../cuda-error.h"

namespace ntx::cuda {

namespace {

constexpr int kThreads = 512;
constexpr int kLoads = 8;

__global__ void __launch_bounds__(kThreads) read_all(const uint4* memory, size_t vectors, uint32_t* seen) {
  const size_t step = static_cast<size_t>(gridDim.x) * kThreads * kLoads;
  uint32_t bits = 0;
  for (size_t at = static_cast<size_t>(blockIdx.x) * kThreads * kLoads + threadIdx.x; at < vectors; at += step) {
    uint4 loaded[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const size_t own = at + static_cast<size_t>(i) * kThreads;
      loaded[i] = own < vectors ? __ldcs(memory + own) : uint4{};
    }
#pragma unroll
    for (int i = 0; i < kLoads; ++i) bits |= loaded[i].x | loaded[i].y | loaded[i].z | loaded[i].w;
  }
  if (bits == 0) *seen = 1;  // never: so that the loads are needed
}

}  // namespace

void launch_read_bandwidth(void* memory, size_t bytes, uint32_t* seen, int multiprocessors, cudaStream_t stream,
                           std::span<const cudaEvent_t> events) {
  NTX_CUDA(cudaMemsetAsync(memory, 0x5a, bytes, stream));
  for (size_t run = 0; run + 1 < events.size(); ++run) {
    NTX_CUDA(cudaEventRecord(events[run], stream));
    read_all<<<multiprocessors * 4, kThreads, 0, stream>>>(static_cast<const uint4*>(memory), bytes / sizeof(uint4), seen);
    NTX_CUDA(cudaGetLastError());
  }
  NTX_CUDA(cudaEventRecord(events.back(), stream));
}

}  // namespace ntx::cuda
