// f16 scale | int8 codes[32]. 34 bytes.
#pragma once

#include "bytes.cuh"

namespace ntx::cuda {

struct Q8_0 {
  static constexpr int kBlock = 32, kBytes = 34, kSub = 32, kZero = 0, kAlign = 2;
  static constexpr bool kHasMin = false;
  static __device__ uint32_t code(const uint8_t* block, uint32_t, int i) { return EvenWords(block + 2)[i]; }
  static __device__ float scale(const uint8_t* block) { return half_at(block); }
};

}  // namespace ntx::cuda
