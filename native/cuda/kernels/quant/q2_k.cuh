// scales[16]: low nibble scale, high nibble min | qs[64]: per 128 weights 32 bytes, weight 32 j + l in bits 2j of byte
// l | f16 d | f16 dmin. 84 bytes.
#pragma once

#include "bytes.cuh"

namespace ntx::cuda {

struct Q2_K {
  static constexpr int kBlock = 256, kBytes = 84, kSub = 16, kZero = 0, kAlign = 4, kScaleBias = 0;
  static constexpr bool kHasMin = true;
  static __device__ uint32_t code(const uint8_t* block, uint32_t s, int i) {
    return word_at(block + 16 + 32 * (s >> 2) + 4 * i) >> (2 * (s & 3)) & 0x03030303;
  }
  static __device__ uint32_t scale_word(const uint8_t* block, uint32_t half, uint32_t i) {
    return word_at(block + 8 * half + 4 * i) & 0x0f0f0f0f;
  }
  static __device__ uint32_t min_word(const uint8_t* block, uint32_t half, uint32_t i) {
    return word_at(block + 8 * half + 4 * i) >> 4 & 0x0f0f0f0f;
  }
  static __device__ float d(const uint8_t* block) { return half_at(block + 80); }
  static __device__ float dmin(const uint8_t* block) { return half_at(block + 82); }
};

}  // namespace ntx::cuda
