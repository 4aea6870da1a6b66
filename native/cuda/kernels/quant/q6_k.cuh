// ql[128] | qh[64] | int8 scales[16] | f16 d. Per 128 weights: the low nibbles of ql[0..63], then the high ones; bits
// 2j of byte l of the 32 bytes of qh are the fifth and sixth of weight 32 j + l. 210 bytes.
#pragma once

#include "bytes.cuh"

namespace ntx::cuda {

struct Q6_K {
  static constexpr int kBlock = 256, kBytes = 210, kSub = 16, kZero = 32, kAlign = 2, kScaleBias = 128;
  static constexpr bool kHasMin = false;
  static __device__ uint32_t code(const uint8_t* block, uint32_t s, int i) {
    const EvenWords words(block);
    const int half = static_cast<int>(s >> 2), low_row = static_cast<int>(s & 1);
    const uint32_t low = words[16 * half + 8 * low_row + i] >> (2 * (s & 2)) & 0x0f0f0f0f;
    return low | (words[32 + 8 * half + i] >> (2 * (s & 3)) & 0x03030303) << 4;
  }
  static __device__ uint32_t scale_word(const uint8_t* block, uint32_t half, uint32_t i) {
    return EvenWords(block + 192)[static_cast<int>(2 * half + i)] ^ 0x80808080;
  }
  static __device__ float d(const uint8_t* block) { return half_at(block + 208); }
};

}  // namespace ntx::cuda
