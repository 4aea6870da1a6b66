// Keeps a stream waiting until the host has enqueued what is to be timed.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace ntx::cuda {

class Hold {
 public:
  Hold();
  /// No stream may be held any more.
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  /// What is enqueued on `stream` from here on waits for end(), but a fifth of a second at most.
  void begin(cudaStream_t stream);
  void end();

 private:
  volatile uint32_t* ended_;  // pinned
};

/// A kernel that fails, after which the device refuses everything from this process: for tests of what follows.
void launch_fault(cudaStream_t stream);

/// cudaSuccess when the current device can run the kernels that were built: all have the same architectures.
cudaError_t find_kernels();

}  // namespace ntx::cuda
