// The tensor cores' product of halves with sums in f32, and the splitting of floats that makes it as good as one of floats.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace ntx::cuda {

/// c += a b: 16x16 times 16x8. Lane l: a[0] row l / 4, a[1] row l / 4 + 8, columns 2 (l % 4) and the next; a[2], a[3] eight
/// columns on. b: rows as a's columns, column l / 4. c[0..1] row l / 4, columns 2 (l % 4) and the next, c[2..3] row l / 4 + 8.
__device__ __forceinline__ void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// As multiply(), for an a whose rows 8 to 15 are zero: its a[0] and a[2], and c[0..1].
__device__ __forceinline__ void multiply_half(float (&c)[2], uint32_t a0, uint32_t a2, uint32_t b0, uint32_t b1) {
  asm volatile(
      "{.reg .f32 unused0, unused1;\n"
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,unused0,unused1}, {%2,%3,%4,%3}, {%5,%6}, {%0,%1,%7,%7};}"
      : "+f"(c[0]), "+f"(c[1])
      : "r"(a0), "r"(0), "r"(a2), "r"(b0), "r"(b1), "f"(0.0f));
}

/// (first, second) = high + low, pairs of halves with 22 bits between them.
__device__ __forceinline__ void split_pair(float first, float second, uint32_t& high, uint32_t& low) {
  const __half2 top = __floats2half2_rn(first, second);
  const float2 rounded = __half22float2(top);
  const __half2 rest = __floats2half2_rn(first - rounded.x, second - rounded.y);
  high = reinterpret_cast<const uint32_t&>(top);
  low = reinterpret_cast<const uint32_t&>(rest);
}

/// The power of two that brings `largest` to where halves have all of their bits, and sums of them are far from overflow.
__device__ __forceinline__ float power_for_halves(float largest) {
  int exponent = 0;
  if (largest > 0 && isfinite(largest)) frexpf(largest, &exponent);
  return ldexpf(1.0f, max(-120, min(120, 10 - exponent)));
}

}  // namespace ntx::cuda
