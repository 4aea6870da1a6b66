// f16 scale | qh: bit i is weight i's fifth bit | qs[16] as in Q4_0. 22 bytes.
#pragma once

#include "bytes.cuh"

namespace ntx::cuda {

struct Q5_0 {
  static constexpr int kBlock = 32, kBytes = 22, kSub = 32, kZero = 16, kAlign = 2;
  static constexpr bool kHasMin = false;
  static __device__ uint32_t code(const uint8_t* block, uint32_t, int i) {
    const EvenWords words(block + 2);
    return nibbles(words[1 + (i & 3)], i >> 2) | fifth_bits(words[0], i);
  }
  static __device__ float scale(const uint8_t* block) { return half_at(block); }
};

}  // namespace ntx::cuda
