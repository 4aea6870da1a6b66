// f16 scale | f16 offset, a min with its sign turned | qh and qs[16] as in Q5_0. 24 bytes.
#pragma once

#include "bytes.cuh"

namespace ntx::cuda {

struct Q5_1 {
  static constexpr int kBlock = 32, kBytes = 24, kSub = 32, kZero = 0, kAlign = 8;
  static constexpr bool kHasMin = true;
  static __device__ uint32_t code(const uint8_t* block, uint32_t, int i) {
    return nibbles(word_at(block + 8 + 4 * (i & 3)), i >> 2) | fifth_bits(word_at(block + 4), i);
  }
  static __device__ float scale(const uint8_t* block) { return half_at(block); }
  static __device__ float min(const uint8_t* block) { return -half_at(block + 2); }
};

}  // namespace ntx::cuda
