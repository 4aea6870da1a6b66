// What the AVX2 kernels, and those that extend them, share. Internal linkage: see quant-formats.h.
#pragma once

#include <immintrin.h>

#include "matmul-x86.h"

namespace ntx {
namespace {

/// How far ahead weights are asked for, in bytes: the hardware's own prefetchers stop at the end of a 4 KiB page. 1024
/// to 3072 do much the same on a Xeon, 15 % better than nothing; 4096 costs a quarter of the speed.
constexpr int kAhead = 2048;

/// Asks for the weights that a kernel at `p` will read soon. Past the end of a matrix this does nothing.
inline void prefetch(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p + kAhead), _MM_HINT_T0); }

inline float reduce_add(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

inline __m128i load16(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline __m256i load32(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

}  // namespace
}  // namespace ntx
