// Activations to int8 (activations.h), AVX2.
#if defined(__x86_64__)
#include "avx2.h"

namespace ntx {

namespace {

/// Magnitudes as integers, which order like the floats, with NaN above infinity: neither gets lost in a maximum.
__m256i magnitudes(const float* p) {
  return _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(p)), _mm256_set1_epi32(0x7fffffff));
}

/// Largest magnitude of 32 values, in each of eight lanes.
__m256i largest_of_32(const float* p) {
  return _mm256_max_epu32(_mm256_max_epu32(magnitudes(p), magnitudes(p + 8)),
                          _mm256_max_epu32(magnitudes(p + 16), magnitudes(p + 24)));
}

float across(__m256i v) {
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

/// Zero where the scale is too small to divide by, and where it is not a number.
float inverse_of(float scale) { return scale > 1e-36f ? 1 / scale : 0; }

/// 32 values to codes of -127..127.
__m256i round_codes(const float* p, float inverse) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const auto code = [&](int i) { return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(p + 8 * i), factor)); };
  const __m256i packed =
      _mm256_packs_epi16(_mm256_packs_epi32(code(0), code(1)), _mm256_packs_epi32(code(2), code(3)));
  return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/// Sums of four codes each.
__m256i sum_quads(__m256i codes) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), codes), _mm256_set1_epi16(1));
}

}  // namespace

void round32_avx2(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record) {
  const Form32 form(cols);
  float* scales = reinterpret_cast<float*>(record + form.scale);
  float* sums = reinterpret_cast<float*>(record + form.sum);
  for (int64_t i = begin; i < end; i += 32) {
    const float scale = across(largest_of_32(values + i)) / 127;
    const __m256i codes = round_codes(values + i, inverse_of(scale));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(record + i), codes);
    const __m256i quads = sum_quads(codes);
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    scales[i / 32] = scale;
    sums[i / 32] = scale * static_cast<float>(_mm_cvtsi128_si32(sum));
  }
}

namespace {

/// Sums of sixteen codes: those of the four vectors' low halves, then those of their high halves.
__m256i sum_sixteens(const __m256i* codes) {
  const __m256i a = sum_quads(codes[0]), b = sum_quads(codes[1]), c = sum_quads(codes[2]), d = sum_quads(codes[3]);
  const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
  const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
  return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}

/// Eight int16 as floats times `scale`.
void store_scaled(float* out, __m128i words, float scale) {
  _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(words)), _mm256_set1_ps(scale)));
}

}  // namespace

void round256_avx2(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record) {
  const Form256 form(cols);
  for (int64_t block = begin / 256; block < end / 256; ++block) {
    const float* in = values + 256 * block;
    __m256i largest = largest_of_32(in);
    for (int i = 1; i < 8; ++i) largest = _mm256_max_epu32(largest, largest_of_32(in + 32 * i));
    const float scale = across(largest) / 127, inverse = inverse_of(scale);
    __m256i codes[8];
    for (int i = 0; i < 8; ++i) {
      codes[i] = round_codes(in + 32 * i, inverse);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(record + 256 * block + 32 * i), codes[i]);
    }
    const __m256i sums = _mm256_packs_epi32(sum_sixteens(codes), sum_sixteens(codes + 4));
    const __m128i even = _mm256_castsi256_si128(sums), odd = _mm256_extracti128_si256(sums, 1);
    const __m128i both = _mm_add_epi16(even, odd);
    reinterpret_cast<float*>(record + form.scale)[block] = scale;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(record + form.sum16) + block, sums);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(record + form.sum32) + block, both);
    store_scaled(reinterpret_cast<float*>(record + form.sum) + 8 * block, both, scale);
    float* fine = reinterpret_cast<float*>(record + form.fine_sum) + 16 * block;
    store_scaled(fine, _mm_unpacklo_epi16(even, odd), scale);
    store_scaled(fine + 8, _mm_unpackhi_epi16(even, odd), scale);
  }
}

}  // namespace ntx
#endif
