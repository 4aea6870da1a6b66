// Every CUDA call goes through NTX_CUDA: what fails becomes an exception that names the call, its place and CUDA's reason.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace ntx::cuda {

class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t code, const std::string& what) : std::runtime_error(what), code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

/// "cudaMalloc(...) failed at native/cuda/memory.cc:20: out of memory (cudaErrorMemoryAllocation)"
inline std::string describe(cudaError_t code, const char* call, const char* file, int line) {
  std::string place = file;
  const size_t start = place.rfind("native/");
  if (start != std::string::npos) place = place.substr(start);
  return std::string(call) + " failed at " + place + ":" + std::to_string(line) + ": " + cudaGetErrorString(code) + " (" +
         cudaGetErrorName(code) + ")";
}

/// Throws CudaError. CUDA's own note of an error that is not sticky is cleared, so that no later call reports it again.
inline void check(cudaError_t code, const char* call, const char* file, int line) {
  if (code == cudaSuccess) return;
  cudaGetLastError();
  throw CudaError(code, describe(code, call, file, line));
}

}  // namespace ntx::cuda

#define NTX_CUDA(call) ::ntx::cuda::check((call), #call, __FILE__, __LINE__)
