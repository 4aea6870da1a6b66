// Small copies between the host and the device by a kernel: cheaper than handing over to a copy engine and back, twice a token,
// and not queued behind the weights that the engine is copying.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "product.h"

namespace ntx::cuda {

/// Whether launch_copy_words() takes it: whole words, and few.
bool is_small_copy(const void* from, const void* to, size_t bytes);

/// Host memory is pinned.
void launch_copy_words(const void* from, void* to, size_t bytes, const DeviceTraits& traits, cudaStream_t stream);

}  // namespace ntx::cuda
