// hmask[32]: bit s of byte l is the third bit of weight 32 s + l | qs[64] as in Q2_K | scales[12]: sixteen of six bits,
// the low four in the nibbles of bytes 0..7, the high two in bytes 8..11, biased by 32 | f16 d. 110 bytes.
#pragma once

#include "bytes.cuh"

namespace ntx::cuda {

struct Q3_K {
  static constexpr int kBlock = 256, kBytes = 110, kSub = 16, kZero = 4, kAlign = 2, kScaleBias = 32;
  static constexpr bool kHasMin = false;
  static __device__ uint32_t code(const uint8_t* block, uint32_t s, int i) {
    const EvenWords words(block);
    const uint32_t low = words[static_cast<int>(8 + 8 * (s >> 2)) + i] >> (2 * (s & 3)) & 0x03030303;
    return low | (words[i] >> s & 0x01010101) << 2;
  }
  static __device__ uint32_t scale_word(const uint8_t* block, uint32_t half, uint32_t i) {
    const EvenWords words(block + 96);
    return (words[static_cast<int>(i)] >> (4 * half) & 0x0f0f0f0f) |
           (words[2] >> (4 * half + 2 * i) & 0x03030303) << 4;
  }
  static __device__ float d(const uint8_t* block) { return half_at(block + 108); }
};

}  // namespace ntx::cuda
