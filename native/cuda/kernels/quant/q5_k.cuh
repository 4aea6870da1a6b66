// Head (k-scales.cuh) | qh[32]: bit s of byte l is the fifth bit of weight 32 s + l | qs[128] as in Q4_K. 176 bytes.
#pragma once

#include "k-scales.cuh"

namespace ntx::cuda {

struct Q5_K : KScales {
  static constexpr int kBlock = 256, kBytes = 176, kSub = 32, kZero = 0, kAlign = 16, kScaleBias = 0;
  static constexpr bool kHasMin = true;
  static __device__ uint32_t code(const uint8_t* block, uint32_t s, int i) {
    const uint32_t low = word_at(block + 48 + 32 * (s >> 1) + 4 * i) >> (4 * (s & 1)) & 0x0f0f0f0f;
    return low | (word_at(block + 16 + 4 * i) >> s & 0x01010101) << 4;
  }
  static __device__ void codes(const uint8_t* block, uint32_t s, uint32_t (&words)[8]) {
    uint32_t high[8];
    load_32(block + 48 + 32 * (s >> 1), words);
    load_32(block + 16, high);
    for (int i = 0; i < 8; ++i) {
      words[i] = (words[i] >> (4 * (s & 1)) & 0x0f0f0f0f) | (high[i] >> s & 0x01010101) << 4;
    }
  }
};

}  // namespace ntx::cuda
