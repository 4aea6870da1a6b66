// Products on the tensor cores: 16 rows of weights times 8 columns (activation rows), 128 weights of each row at a
// time, in mma's fragments. Lane (g, t) = (lane / 4, lane % 4) holds weights of rows g and g + 8, activations of column
// g, and results of rows g and g + 8 in columns 2t and 2t + 1.
#pragma once

#include "product-group.h"
#include "quant/bytes.cuh"
#include "product-device.cuh"

namespace ntx::cuda {

/** Pieces of 32 weights that are decoded at a time. */
constexpr int kHalf = 4;

/**
 * Integer products that become floats one by one start from these bits: what comes out is, read as a float, 1.5 * 2^23
 * plus the integer (of at most 22 bits), so that a subtraction converts it.
 */
constexpr int kIntegerBase = 0x4b400000;
constexpr float kFloatBase = 12582912.0f;

__device__ inline float integer_value(int bits) { return __int_as_float(bits) - kFloatBase; }

/** Weights 0..15 and 16..31 of a piece: m16n8k32. */
__device__ inline void multiply_32(int (&d)[4], const uint32_t (&a)[4], uint2 b, int start) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%10, %10, %10, %10};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y), "r"(start));
}

__device__ inline void multiply_16(int (&d)[4], uint32_t a_low, uint32_t a_high, uint32_t b, int start) {
  asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a_low), "r"(a_high), "r"(b), "r"(start));
}

/** f16 m16n8k16 with f32 sums. */
__device__ inline void multiply_halves(float (&d)[4], const uint32_t (&a)[4], uint2 b) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%10, %10, %10, %10};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y), "f"(0.0f));
}

/** Signed codes of unsigned ones: no byte carries, as codes are below 64. */
template <class T>
__device__ uint32_t signed_codes(uint32_t codes) {
  if constexpr (T::kZero == 0) return codes;
  return (codes + (128 - T::kZero) * 0x01010101u) ^ 0x80808080u;
}

/** 128 weights of each of 16 rows of a type in blocks of 32; fewer, but whole pieces, if not `kFull`. */
template <class T, bool kFull>
struct BlockRows {
  uint32_t codes[kHalf][4];   // in the order of mma's A
  float scales[kHalf][2];     // of rows g and g + 8
  float mins[T::kHasMin ? kHalf : 1][2];

  /** `rows`: the first block in rows g and g + 8. */
  __device__ void decode(const uint8_t* const (&rows)[2], int pieces) {
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int p = 0; p < kHalf; ++p) {
      if (!kFull && p >= pieces) break;
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const uint8_t* block = rows[r] + p * T::kBytes;
        codes[p][r] = signed_codes<T>(T::code(block, 0, t));
        codes[p][2 + r] = signed_codes<T>(T::code(block, 0, t + 4));
        scales[p][r] = T::scale(block);
        if constexpr (T::kHasMin) mins[p][r] = T::min(block);
      }
    }
  }

  /**
   * Adds the product with eight columns. `columns` gives codes(p), words t and t + 4 of piece p in column g, and of
   * columns 2t and 2t + 1 scales(p) and sums(p).
   */
  template <class Columns>
  __device__ void add(float (&sums)[4], const Columns& columns, int pieces) const {
#pragma unroll
    for (int p = 0; p < kHalf; ++p) {
      if (!kFull && p >= pieces) break;
      int d[4];
      multiply_32(d, codes[p], columns.codes(p), kIntegerBase);
      const float2 scale = columns.scales(p);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sums[i] += integer_value(d[i]) * (scales[p][i / 2] * (i % 2 == 0 ? scale.x : scale.y));
      }
      if constexpr (T::kHasMin) {
        const float2 sum = columns.sums(p);
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[i] -= mins[p][i / 2] * (i % 2 == 0 ? sum.x : sum.y);
      }
    }
  }
};

/** 128 weights of each of 16 rows of a K type. */
template <class T>
struct SuperRows {
  static constexpr int kSubs = 128 / T::kSub;
  uint32_t codes[kHalf][4];  // in the order of mma's A
  int scales[kSubs][2];      // of rows g and g + 8
  float d[2];

  /** `rows`: the blocks of rows g and g + 8. */
  __device__ void decode(const uint8_t* const (&rows)[2], uint32_t half) {
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      d[r] = T::d(rows[r]);
#pragma unroll
      for (int p = 0; p < kHalf; ++p) {
        codes[p][r] = signed_codes<T>(T::code(rows[r], 4 * half + p, t));
        codes[p][2 + r] = signed_codes<T>(T::code(rows[r], 4 * half + p, t + 4));
      }
#pragma unroll
      for (int i = 0; i < kSubs; ++i) {
        scales[i][r] = static_cast<int>(T::scale_word(rows[r], half, i / 4) >> (8 * (i % 4)) & 255) - T::kScaleBias;
      }
    }
  }

  /** Adds the product with eight columns. `columns` gives codes(p) as for BlockRows, and scales(). */
  template <class Columns>
  __device__ void add(float (&sums)[4], const Columns& columns) const {
    int part[4] = {};
#pragma unroll
    for (int p = 0; p < kHalf; ++p) {
      const uint2 b = columns.codes(p);
      int products[4];
      if constexpr (T::kSub == 32) {
        multiply_32(products, codes[p], b, 0);
#pragma unroll
        for (int i = 0; i < 4; ++i) part[i] += products[i] * scales[p][i / 2];
      } else {
        int others[4];
        multiply_16(products, codes[p][0], codes[p][1], b.x, 0);
        multiply_16(others, codes[p][2], codes[p][3], b.y, 0);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          part[i] += products[i] * scales[2 * p][i / 2] + others[i] * scales[2 * p + 1][i / 2];
        }
      }
    }
    const float2 scale = columns.scales();
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] += static_cast<float>(part[i]) * (d[i / 2] * (i % 2 == 0 ? scale.x : scale.y));
  }
};

/** The mins of 256 weights of 16 rows as f16, one for each 16 weights, in the order of mma's A: K types with mins. */
template <class T>
struct RowMins {
  uint32_t mins[4];
  float dmin[2];

  __device__ void decode(const uint8_t* const (&rows)[2]) {
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      dmin[r] = T::dmin(rows[r]);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        // Sixteens 8 half + 2t and 8 half + 2t + 1: two mins of 16 weights each, or twice that of 32.
        const uint32_t word = T::min_word(rows[r], half, T::kSub == 32 ? 0 : t >> 1);
        const uint32_t first = T::kSub == 32 ? word >> (8 * t) : word >> (16 * (t & 1));
        const uint32_t second = T::kSub == 32 ? first : first >> 8;
        // Bits of f16 1024 + n, less 1024.
        const uint32_t both = (first & 255) | (second & 255) << 16 | 0x64006400;
        const __half2 value = __hsub2(reinterpret_cast<const __half2&>(both), __half2half2(__ushort_as_half(0x6400)));
        mins[2 * half + r] = reinterpret_cast<const uint32_t&>(value);
      }
    }
  }
};

/** Takes the mins of 256 weights off. `sixteens`: f16 sums of columns.codes, words t and t + 4 of column g's eight. */
template <class T>
__device__ void subtract_mins(float (&sums)[4], const RowMins<T>& rows, uint2 sixteens, float2 scale) {
  float d[4];
  multiply_halves(d, rows.mins, sixteens);
#pragma unroll
  for (int i = 0; i < 4; ++i) sums[i] -= d[i] * rows.dmin[i / 2] * (i % 2 == 0 ? scale.x : scale.y);
}

}  // namespace ntx::cuda
