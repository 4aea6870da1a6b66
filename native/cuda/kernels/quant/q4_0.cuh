// f16 scale | qs[16]: weights 0..15 in the low nibbles, 16..31 in the high ones. 18 bytes.
#pragma once

#include "bytes.cuh"

namespace ntx::cuda {

struct Q4_0 {
  static constexpr int kBlock = 32, kBytes = 18, kSub = 32, kZero = 8, kAlign = 2;
  static constexpr bool kHasMin = false;
  static __device__ uint32_t code(const uint8_t* block, uint32_t, int i) {
    return nibbles(EvenWords(block + 2)[i & 3], i >> 2);
  }
  static __device__ float scale(const uint8_t* block) { return half_at(block); }
};

}  // namespace ntx::cuda
