// How kernels are launched, so that each overlaps the end of the one before it (programmatic dependent launch, sm_90 on).
#pragma once

#include <cuda_runtime.h>

#include "../cuda-error.h"
#include "product.h"

namespace ntx::cuda {

/// Launches `kernel`, which must call wait_for_previous() before it touches what an earlier kernel reads or writes.
/// `shared`: bytes of dynamic shared memory; above 48 KiB the caller has to have raised the kernel's limit.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const DeviceTraits& traits, cudaStream_t stream, dim3 grid, dim3 block,
            size_t shared, Arguments... arguments) {
  // The blocks of two kernels share a multiprocessor only if the first was started with room for both.
  NTX_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared));
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = traits.major >= 9 ? 1 : 0;
  NTX_CUDA(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

/// Waits until everything before this kernel has completed. Every thread block that touches memory calls it.
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Allows the next kernel to begin, up to its own wait_for_previous().
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

constexpr unsigned kAllLanes = 0xffffffff;

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) value += __shfl_xor_sync(kAllLanes, value, apart);
  return value;
}

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, apart));
  return value;
}

}  // namespace ntx::cuda
