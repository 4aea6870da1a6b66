// The head of Q4_K and Q5_K blocks: f16 d | f16 dmin | twelve bytes with eight scales and eight mins of six bits. Bytes
// 0..3 hold scales 0..3, bytes 4..7 mins 0..3, bytes 8..11 the low nibbles of scales and mins 4..7, whose top two bits
// are those of bytes 0..7.
#pragma once

#include "bytes.cuh"

namespace ntx::cuda {

__device__ inline uint32_t six_bits(uint32_t first, uint32_t nibble, uint32_t half) {
  return half == 0 ? first & 0x3f3f3f3f : nibble | (first >> 2 & 0x30303030);
}

/** Scale and min of one piece. */
struct KScale {
  int scale, min;
};

struct KScales {
  static __device__ uint32_t scale_word(const uint8_t* block, uint32_t half, uint32_t) {
    const uint4 head = *reinterpret_cast<const uint4*>(block);
    return six_bits(head.y, head.w & 0x0f0f0f0f, half);
  }
  static __device__ uint32_t min_word(const uint8_t* block, uint32_t half, uint32_t) {
    const uint4 head = *reinterpret_cast<const uint4*>(block);
    return six_bits(head.z, head.w >> 4 & 0x0f0f0f0f, half);
  }
  static __device__ KScale scale_of(const uint8_t* block, uint32_t s) {
    const uint4 head = *reinterpret_cast<const uint4*>(block);
    // All that depends on s alone is the same for a lane's every block.
    const bool late = s >= 4;
    const uint32_t shift = 8 * (s & 3), low = late ? 15 : 63, top = late ? 48 : 0;
    const uint32_t scale = (late ? head.w : head.y) >> shift, min = (late ? head.w >> 4 : head.z) >> shift;
    return {static_cast<int>((scale & low) | (head.y >> 2 >> shift & top)),
            static_cast<int>((min & low) | (head.z >> 2 >> shift & top))};
  }
  static __device__ float d(const uint8_t* block) { return __low2float(factors(block)); }
  static __device__ float dmin(const uint8_t* block) { return __high2float(factors(block)); }

 private:
  static __device__ __half2 factors(const uint8_t* block) {
    const uint4 head = *reinterpret_cast<const uint4*>(block);
    return reinterpret_cast<const __half2&>(head.x);
  }
};

}  // namespace ntx::cuda
