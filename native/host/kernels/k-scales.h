// The integer sub-block scales of the K-quants in vector registers, for AVX2 and what extends it. Internal linkage: see
// quant-formats.h.
#pragma once

#include "avx2.h"
#include "quant-formats.h"

namespace ntx {
namespace {

/// Eight scales and eight mins of six bits each (Q4_K, Q5_K) as int16: scales in the low half.
inline __m256i six_bit_scales(const uint8_t* p) {
  uint64_t low;  // scales 0..3, mins 0..3, and the top two bits of the others
  std::memcpy(&low, p, 8);
  const uint64_t rest = load_u32(p + 8);
  const uint64_t high_bits = low >> 2 & 0x3030303030303030;
  const uint64_t scales_high = (rest & 0x0f0f0f0f) | (high_bits & 0xffffffff);
  const uint64_t mins_high = (rest >> 4 & 0x0f0f0f0f) | high_bits >> 32;
  const uint64_t six = low & 0x3f3f3f3f3f3f3f3f;
  const uint64_t scales = (six & 0xffffffff) | scales_high << 32, mins = six >> 32 | mins_high << 32;
  return _mm256_cvtepu8_epi16(_mm_set_epi64x(static_cast<long long>(mins), static_cast<long long>(scales)));
}

/// Sixteen scale bytes, the even ones first, the order of the activations' sum16.
inline __m128i evens_first(__m128i bytes) {
  return _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
}

/// The sixteen signed scales of a block, in their own order.
inline __m128i signed_scales(Q3_K, const uint8_t* p) {
  const __m128i packed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 96));
  const __m128i fours = _mm_and_si128(_mm_unpacklo_epi64(packed, _mm_srli_epi16(packed, 4)), _mm_set1_epi8(15));
  const __m128i twos = _mm_srlv_epi32(_mm_set1_epi32(static_cast<int>(load_u32(p + 104))), _mm_setr_epi32(0, 2, 4, 6));
  const __m128i high = _mm_slli_epi16(_mm_and_si128(twos, _mm_set1_epi8(3)), 4);
  return _mm_sub_epi8(_mm_or_si128(fours, high), _mm_set1_epi8(32));
}
inline __m128i signed_scales(Q6_K, const uint8_t* p) { return load16(p + 192); }

/// Four lanes of a sum of int32 pairs.
inline __m128i fold(__m256i v) { return _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)); }

}  // namespace
}  // namespace ntx
