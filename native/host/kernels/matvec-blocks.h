// Matrix-vector products of the types with blocks of 32 weights, for AVX2 and what extends it. `Isa` supplies
//   dot<T>(block, activations)   int32 sums of codes times 32 activations, in eight lanes,
//   kZero<T>                     what is still to be taken from those codes to make weights of them.
// Internal linkage: see quant-formats.h.
#pragma once

#include "avx2.h"
#include "quant-formats.h"

namespace ntx {
namespace {

/// qs[16] as 32 codes.
inline __m256i nibbles(const uint8_t* qs) {
  const __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(qs)));
  const __m256i shifts = _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4);
  return _mm256_and_si256(_mm256_srlv_epi32(twice, shifts), _mm256_set1_epi8(15));
}

/// The f16 at `p` of each of eight blocks.
template <int Bytes>
__m256 gather_halves(const uint8_t* p) {
  __m128i halves = _mm_cvtsi32_si128(load_u16(p));
  halves = _mm_insert_epi16(halves, load_u16(p + 1 * Bytes), 1);
  halves = _mm_insert_epi16(halves, load_u16(p + 2 * Bytes), 2);
  halves = _mm_insert_epi16(halves, load_u16(p + 3 * Bytes), 3);
  halves = _mm_insert_epi16(halves, load_u16(p + 4 * Bytes), 4);
  halves = _mm_insert_epi16(halves, load_u16(p + 5 * Bytes), 5);
  halves = _mm_insert_epi16(halves, load_u16(p + 6 * Bytes), 6);
  halves = _mm_insert_epi16(halves, load_u16(p + 7 * Bytes), 7);
  return _mm256_cvtph_ps(halves);
}

/// Adds what w = scale * (code - zero) - min has besides scale * (codes . a), for eight blocks; `sum` is the scaled sum
/// of each block's activations.
template <class Isa, class T>
__m256 add_offsets(const uint8_t* p, __m256 d, const float* sum, __m256 total) {
  if constexpr (T::kHasMin) return _mm256_fmadd_ps(gather_halves<T::kBytes>(p + 2), _mm256_loadu_ps(sum), total);
  if constexpr (Isa::template kZero<T> == 0) return total;
  return _mm256_fmadd_ps(_mm256_mul_ps(d, _mm256_set1_ps(-Isa::template kZero<T>)), _mm256_loadu_ps(sum), total);
}

template <class Isa, class T>
__m256 block_dot(const uint8_t* p, const uint8_t* a, float scale, __m256 total) {
  const __m256i dot = Isa::template dot<T>(p, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a)));
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_set1_ps(scale), total);
}

template <class Isa, class T>
float row_dot(const uint8_t* p, const uint8_t* a, const float* a_scale, const float* a_sum, int64_t blocks) {
  __m256 total[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, offset = _mm256_setzero_ps();
  alignas(32) float scale[8];
  for (; blocks >= 8; blocks -= 8, p += 8 * T::kBytes, a += 256, a_scale += 8, a_sum += 8) {
    const __m256 d = gather_halves<T::kBytes>(p);
    _mm256_store_ps(scale, _mm256_mul_ps(d, _mm256_loadu_ps(a_scale)));
    offset = add_offsets<Isa, T>(p, d, a_sum, offset);
    for (int line = 0; line < 8 * T::kBytes; line += 64) prefetch(p + line);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) total[i & 1] = block_dot<Isa, T>(p + i * T::kBytes, a + 32 * i, scale[i], total[i & 1]);
  }
  float rest = 0;
  for (int64_t i = 0; i < blocks; ++i) {
    const float d = load_f16(p + i * T::kBytes);
    const float min = T::kHasMin ? -load_f16(p + i * T::kBytes + 2) : d * Isa::template kZero<T>;
    total[i & 1] = block_dot<Isa, T>(p + i * T::kBytes, a + 32 * i, d * a_scale[i], total[i & 1]);
    rest -= min * a_sum[i];
  }
  return reduce_add(_mm256_add_ps(_mm256_add_ps(total[0], total[1]), offset)) + rest;
}

template <class Isa, class T>
void matvec(const WeightRows& weights, const Activations& input, int64_t row, float* out) {
  const Form32 form(input.cols);
  const uint8_t* record = input.form32 + static_cast<size_t>(row) * form.stride;
  const float* scale = reinterpret_cast<const float*>(record + form.scale);
  const float* sum = reinterpret_cast<const float*>(record + form.sum);
  for (int n = 0; n < weights.count; ++n) {
    out[n] = row_dot<Isa, T>(weights.data + n * weights.row_bytes, record, scale, sum, input.cols / 32);
  }
}

template <class Isa>
void enter_block_matvecs(MatmulKernels& kernels) {
  kernels.matvec[static_cast<int>(Type::q4_0)] = matvec<Isa, Q4_0>;
  kernels.matvec[static_cast<int>(Type::q4_1)] = matvec<Isa, Q4_1>;
  kernels.matvec[static_cast<int>(Type::q5_0)] = matvec<Isa, Q5_0>;
  kernels.matvec[static_cast<int>(Type::q5_1)] = matvec<Isa, Q5_1>;
  kernels.matvec[static_cast<int>(Type::q8_0)] = matvec<Isa, Q8_0>;
}

}  // namespace
}  // namespace ntx
