// Launching the kernels of a product.
#pragma once

#include "launch.cuh"

namespace ntx::cuda {

struct Launch {
  dim3 grid;
  unsigned threads;
  size_t shared;  // dynamic, bytes a block
};

/**
 * Shared memory of a block, two of which fill a multiprocessor: half of its 100 to 228 KiB, less the 1 KiB that the
 * system takes for each and some static variables.
 */
inline size_t half_shared(const DeviceTraits& device) { return device.shared_per_block_optin / 2 - 1536; }

template <class Args>
void launch_kernel(void (*kernel)(Args), const Args& args, const Launch& how, const DeviceTraits& device,
                   cudaStream_t stream) {
  NTX_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(how.shared)));
  launch(kernel, device, stream, how.grid, dim3(how.threads), how.shared, args);
}

}  // namespace ntx::cuda
