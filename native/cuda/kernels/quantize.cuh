// Activations rounded to int8 for the integer products: one scale max|x| / 127 for 32 values where weights come in
// blocks of 32, for 256 where they are a K type's, so that its integer sub-block scales apply before anything becomes a
// float.
#pragma once

#include <cuda_fp16.h>

#include "product-device.cuh"

namespace ntx::cuda {

/** This lane's share of a piece, 32 values of a row: values 4t .. 4t + 3 and 16 + 4t .. 19 + 4t, where t = lane % 4. */
struct RoundedShare {
  uint32_t low, high;     // codes, one a byte
  int sum_low, sum_high;  // of the codes of the piece's first and second sixteen values
  float scale;
};

__device__ inline float largest(const float4& v) {
  return fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
}

/** Rounded to nearest; the low byte of a float's bits is its integer part when 1.5 * 2^23 is added. */
__device__ inline uint32_t pack_codes(const float4& v, float factor) {
  const auto bits = [&](float x) { return __float_as_uint(fmaf(x, factor, 12582912.0f)); };
  return __byte_perm(__byte_perm(bits(v.x), bits(v.y), 0x0040), __byte_perm(bits(v.z), bits(v.w), 0x0040), 0x5410);
}

/** Called by whole warps, lanes 4i .. 4i + 3 for piece i of eight; kBlock 32 or 256 values share a scale. */
template <int kBlock>
__device__ RoundedShare round_share(const float4& low, const float4& high) {
  float max = fmaxf(largest(low), largest(high));
  for (int lanes = 1; lanes < kBlock / 8; lanes *= 2) max = fmaxf(max, __shfl_xor_sync(0xffffffff, max, lanes));
  // What is smaller has an inverse that is not a number of f32, and no part in any result.
  const float factor = max > 1e-30f ? __fdividef(127.0f, max) : 0.0f;
  RoundedShare share;
  share.low = pack_codes(low, factor);
  share.high = pack_codes(high, factor);
  share.scale = max * (1.0f / 127.0f);
  int sums = __dp4a(static_cast<int>(share.low), 0x01010101, 0) +
             (__dp4a(static_cast<int>(share.high), 0x01010101, 0) << 16);
  for (int lanes = 1; lanes < 4; lanes *= 2) sums += __shfl_xor_sync(0xffffffff, sums, lanes);
  share.sum_low = static_cast<int16_t>(sums);
  share.sum_high = (sums - share.sum_low) >> 16;
  return share;
}

__device__ inline float4 times(const float4& a, const float4& b) {
  return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}

__device__ inline float square_sum(const float4& v) { return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w; }

}  // namespace ntx::cuda
