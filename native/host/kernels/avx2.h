// What the AVX2 kernels, and those that extend them, share. Internal linkage: see quant-formats.h.
#pragma once

#include <immintrin.h>

#include "matmul-kernels.h"

namespace ntx {

void round32_avx2(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record);
void round256_avx2(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record);
void enter_block_matvecs_avx2(MatmulKernels& kernels);
void enter_k_matvecs_avx2(MatmulKernels& kernels);
void enter_matmats_avx2(MatmulKernels& kernels);
void enter_float_products_avx2(MatmulKernels& kernels);

namespace {

#ifndef NTX_AHEAD
#define NTX_AHEAD 2048
#endif
constexpr int kAhead = NTX_AHEAD;

/// Asks for the weights that a kernel at `p` will read soon. Past the end of a matrix this does nothing.
inline void prefetch(const uint8_t* p) {
  if (kAhead) _mm_prefetch(reinterpret_cast<const char*>(p + kAhead), _MM_HINT_T0);
}

inline float reduce_add(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

inline __m128i load16(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline __m256i load32(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

}  // namespace
}  // namespace ntx
