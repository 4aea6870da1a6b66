#include "stream-words.h"

#include <cuda.h>

#include "cuda-error.h"

namespace ntx::cuda {

namespace {

/// cuStreamWriteValue32 and cuStreamWaitValue32, which look alike, as this file calls them: CUDA 11.7.
using Call = CUresult (*)(CUstream, CUdeviceptr, cuuint32_t, unsigned);
constexpr unsigned kVersion = 11070;

void* find(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t status = cudaGetDriverEntryPointByVersion(name, &found, kVersion, cudaEnableDefault, &result);
  cudaGetLastError();
  return status == cudaSuccess && result == cudaDriverEntryPointSuccess ? found : nullptr;
}

CUresult call(void* function, cudaStream_t stream, void* word, uint32_t value, unsigned flags) {
  return reinterpret_cast<Call>(function)(stream, reinterpret_cast<CUdeviceptr>(word), value, flags);
}

void require(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  throw CudaError(cudaErrorUnknown, std::string(what) + ": the driver says " + std::to_string(result));
}

}  // namespace

void StreamWords::start(cudaStream_t stream, uint32_t* word) {
  write_ = find("cuStreamWriteValue32");
  wait_ = find("cuStreamWaitValue32");
  if (write_ == nullptr || wait_ == nullptr) return;
  *word = 0;
  works_ = call(write_, stream, word, 1, CU_STREAM_WRITE_VALUE_DEFAULT) == CUDA_SUCCESS &&
           call(wait_, stream, word, 1, CU_STREAM_WAIT_VALUE_GEQ) == CUDA_SUCCESS;
  NTX_CUDA(cudaStreamSynchronize(stream));
}

void StreamWords::write(cudaStream_t stream, void* word, uint32_t value) const {
  require(call(write_, stream, word, value, CU_STREAM_WRITE_VALUE_DEFAULT), "cuStreamWriteValue32");
}

void StreamWords::await(cudaStream_t stream, void* word, uint32_t value) const {
  require(call(wait_, stream, word, value, CU_STREAM_WAIT_VALUE_GEQ), "cuStreamWaitValue32");
}

}  // namespace ntx::cuda
