#include "memory.h"

#include <cstring>
#include <string>
#include <utility>

namespace ntx::cuda {

namespace {

/// Kernels may read whole vectors, up to this many bytes behind an operand's end.
constexpr uint64_t kPadding = 256;

uint64_t padded(uint64_t bytes) { return (bytes / kPadding + 1) * kPadding; }

[[noreturn]] void refuse(uint64_t bytes, const CudaError& error) {
  size_t free = 0, total = 0;
  const bool known = cudaMemGetInfo(&free, &total) == cudaSuccess;
  cudaGetLastError();
  throw OutOfMemory("expected " + std::to_string(bytes) + " bytes" +
                    (known ? "; the device has " + std::to_string(free) + " of " + std::to_string(total) + " left" : "") +
                    " (" + error.what() + ")");
}

}  // namespace

Block::Block(std::shared_ptr<Engine> engine, uint64_t bytes, Kind kind)
    : engine_(std::move(engine)), bytes_(bytes), kind_(kind) {
  engine_->enter();
  engine_->make_way();
  void* data = nullptr;
  try {
    if (kind == Kind::device) {
      NTX_CUDA(cudaMalloc(&data, padded(bytes)));
    } else {
      const unsigned combined = kind == Kind::combined ? cudaHostAllocWriteCombined : 0;
      NTX_CUDA(cudaHostAlloc(&data, padded(bytes), cudaHostAllocPortable | cudaHostAllocMapped | combined));
    }
  } catch (const CudaError& error) {
    if (error.code() == cudaErrorMemoryAllocation) refuse(bytes, error);
    throw;
  }
  data_ = static_cast<uint8_t*>(data);
  if (kind == Kind::device) {
    engine_->clear(data, padded(bytes));
  } else {
    std::memset(data, 0, padded(bytes));
  }
}

Block::Block(std::shared_ptr<Engine> engine, uint8_t* data, uint64_t bytes)
    : engine_(std::move(engine)), bytes_(bytes), kind_(Kind::registered) {
  engine_->enter();
  engine_->make_way();
  NTX_CUDA(cudaHostRegister(data, bytes, cudaHostRegisterPortable | cudaHostRegisterMapped));
  data_ = data;
}

Block::~Block() {
  if (kind_ != Kind::device || !released_) free();
}

void Block::release() {
  if (released_) return;
  released_ = true;
  if (kind_ == Kind::device) free();
}

void Block::free() noexcept {
  if (data_ == nullptr) return;
  engine_->drain();
  if (kind_ == Kind::device) cudaFree(data_);
  if (kind_ == Kind::pinned || kind_ == Kind::combined) cudaFreeHost(data_);
  if (kind_ == Kind::registered) cudaHostUnregister(data_);
  cudaGetLastError();
}

}  // namespace ntx::cuda
