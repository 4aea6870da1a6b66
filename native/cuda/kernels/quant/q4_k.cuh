// Head (k-scales.cuh) | qs[128]: 64 weights in 32 bytes, the low nibbles, then the high ones. 144 bytes.
#pragma once

#include "k-scales.cuh"

namespace ntx::cuda {

struct Q4_K : KScales {
  static constexpr int kBlock = 256, kBytes = 144, kSub = 32, kZero = 0, kAlign = 16, kScaleBias = 0;
  static constexpr bool kHasMin = true;
  static __device__ uint32_t code(const uint8_t* block, uint32_t s, int i) {
    return word_at(block + 16 + 32 * (s >> 1) + 4 * i) >> (4 * (s & 1)) & 0x0f0f0f0f;
  }
  /** Codes of odd pieces stay in the high nibbles: times 16. */
  static __device__ int dot(const uint8_t* block, uint32_t s, const int (&values)[8]) {
    uint32_t words[8];
    load_32(block + 16 + 32 * (s >> 1), words);
    const uint32_t nibbles = 0x0f0f0f0fu << (4 * (s & 1));
    int sums[2] = {};
    for (int i = 0; i < 8; ++i) sums[i / 4] = dot_unsigned(words[i] & nibbles, values[i], sums[i / 4]);
    return (sums[0] + sums[1]) >> (4 * (s & 1));
  }
};

}  // namespace ntx::cuda
