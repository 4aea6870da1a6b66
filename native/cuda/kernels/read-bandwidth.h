#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ntx::cuda {

/// Fills `bytes` of device memory and reads them events.size() - 1 times, with an event before each time and one at the end.
void launch_read_bandwidth(void* memory, size_t bytes, uint32_t* seen, int multiprocessors, cudaStream_t stream,
                           std::span<const cudaEvent_t> events);

}  // namespace ntx::cuda
