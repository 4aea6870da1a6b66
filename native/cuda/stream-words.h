// Words in pinned memory that a stream writes, and waits for (cuStreamWriteValue32, cuStreamWaitValue32).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace ntx::cuda {

class StreamWords {
 public:
  /// Finds the driver's calls and tries both on the stream, which is idle. `word` is pinned.
  void start(cudaStream_t stream, uint32_t* word);
  /// Whether the device and its driver have them.
  bool are_there() const { return works_; }
  /// Behind everything in the stream, whose writes are seen by who sees the word.
  void write(cudaStream_t stream, void* word, uint32_t value) const;
  /// What is enqueued next waits until the word is `value`, or up to 2^31 more.
  void await(cudaStream_t stream, void* word, uint32_t value) const;

 private:
  void* write_ = nullptr;
  void* wait_ = nullptr;
  bool works_ = false;
};

}  // namespace ntx::cuda
