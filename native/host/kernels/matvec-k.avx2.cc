// Matrix-vector products of the K-quants, AVX2. A block of 256 weights stays integer up to its own scale: codes times
// activations add up in pairs to int16, and those times the sub-block scales to int32.
#if defined(__x86_64__)
#include "k-scales.h"

namespace ntx {

namespace {

__m256i and_mask(__m256i v, int mask) { return _mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(mask))); }
__m256i shift_right(__m256i v, int bits) { return _mm256_srli_epi16(v, bits); }

/// Moves bit field `from` of every byte to bit `to`; the caller masks off what crosses into a neighbour.
template <int From, int To>
__m256i move_bits(__m256i v) {
  if constexpr (From < To) return _mm256_slli_epi16(v, To - From);
  return _mm256_srli_epi16(v, From > To ? From - To : 0);
}

/// Codes 32 i .. 32 i + 31 of a block, i < 8.
template <int I>
__m256i codes(Q4_K, const uint8_t* p) {
  return and_mask(shift_right(load32(p + 16 + 32 * (I / 2)), 4 * (I % 2)), 15);
}

template <int I>
__m256i codes(Q5_K, const uint8_t* p) {
  const __m256i low = and_mask(shift_right(load32(p + 48 + 32 * (I / 2)), 4 * (I % 2)), 15);
  const __m256i high = load32(p + 16);
  return _mm256_or_si256(low, and_mask(move_bits<I, 4>(high), 16));
}

template <int I>
__m256i codes(Q2_K, const uint8_t* p) {
  return and_mask(shift_right(load32(p + 16 + 32 * (I / 4)), 2 * (I % 4)), 3);
}

template <int I>
__m256i codes(Q3_K, const uint8_t* p) {
  const __m256i low = and_mask(shift_right(load32(p + 32 + 32 * (I / 4)), 2 * (I % 4)), 3);
  const __m256i high = load32(p);
  return _mm256_or_si256(low, and_mask(move_bits<I, 2>(high), 4));
}

template <int I>
__m256i codes(Q6_K, const uint8_t* p) {
  constexpr int half = I / 4, part = I % 4;
  const __m256i low = and_mask(shift_right(load32(p + 64 * half + 32 * (part % 2)), 4 * (part / 2)), 15);
  const __m256i high = load32(p + 128 + 32 * half);
  return _mm256_or_si256(low, and_mask(move_bits<2 * part, 4>(high), 0x30));
}

/// Where d, and dmin after it, lie in a block.
template <class T>
constexpr int kFactors = T::kSub == 32 ? 0 : T::kBytes - (T::kHasMin ? 4 : 2);

struct BlockInput {
  const uint8_t* codes;
  const int16_t *sum16, *sum32;
  float scale;
};

/// Integer scales: for sub-blocks of 32 all eight in both halves, for those of 16 the even ones in the low half and the
/// odd ones in the high half. Then the start value of the block's int32 sums, and what its mins take away.
struct Scales {
  __m256i words, start;
  __m128i mins;
};

template <class T>
Scales block_scales(const uint8_t* p, const BlockInput& a) {
  const __m256i none = _mm256_setzero_si256();
  if constexpr (T::kSub == 32) {
    const __m256i both = six_bit_scales(p + 4);
    const __m128i sums = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a.sum32));
    return {_mm256_permute4x64_epi64(both, 0x44), none, _mm_madd_epi16(_mm256_extracti128_si256(both, 1), sums)};
  }
  const __m256i sums = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a.sum16));
  if constexpr (T::kSub == 16 && T::kHasMin) {
    const __m128i bytes = evens_first(load16(p)), fours = _mm_set1_epi8(15);
    const __m256i mins = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(bytes, 4), fours));
    return {_mm256_cvtepu8_epi16(_mm_and_si128(bytes, fours)), none, fold(_mm256_madd_epi16(mins, sums))};
  }
  if constexpr (T::kSub == 16 && !T::kHasMin) {
    const __m256i words = _mm256_cvtepi8_epi16(evens_first(signed_scales(T(), p)));
    constexpr int shift = T::kZero == 32 ? 5 : 2;
    static_assert(T::kZero == 1 << shift);
    const __m256i zeros = _mm256_slli_epi32(_mm256_madd_epi16(words, sums), shift);
    return {words, _mm256_sub_epi32(none, zeros), _mm_setzero_si128()};
  }
}

template <class T, int I>
__m256i add_part(const uint8_t* p, const uint8_t* a, __m256i words, __m256i sum) {
  const __m256i pairs = _mm256_maddubs_epi16(codes<I>(T(), p), load32(a + 32 * I));
  const __m256i scale = _mm256_shuffle_epi8(words, _mm256_set1_epi16(static_cast<short>((2 * I + 1) << 8 | (2 * I))));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, scale));
}

/// One row's running sums: `total` of the products, `minus` of what the mins take away.
struct Sums {
  __m256 total = _mm256_setzero_ps();
  __m128 minus = _mm_setzero_ps();
};

template <class T>
void add_block(const uint8_t* p, const BlockInput& a, Sums& sums) {
  const Scales scales = block_scales<T>(p, a);
  __m256i even = scales.start, odd = _mm256_setzero_si256();
  even = add_part<T, 0>(p, a.codes, scales.words, even);
  odd = add_part<T, 1>(p, a.codes, scales.words, odd);
  even = add_part<T, 2>(p, a.codes, scales.words, even);
  odd = add_part<T, 3>(p, a.codes, scales.words, odd);
  even = add_part<T, 4>(p, a.codes, scales.words, even);
  odd = add_part<T, 5>(p, a.codes, scales.words, odd);
  even = add_part<T, 6>(p, a.codes, scales.words, even);
  odd = add_part<T, 7>(p, a.codes, scales.words, odd);
  const __m256 dot = _mm256_cvtepi32_ps(_mm256_add_epi32(even, odd));
  const int bits = T::kHasMin ? static_cast<int>(load_u32(p + kFactors<T>)) : load_u16(p + kFactors<T>);
  const __m128 factors = _mm_mul_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)), _mm_set1_ps(a.scale));
  sums.total = _mm256_fmadd_ps(dot, _mm256_broadcastss_ps(factors), sums.total);
  if constexpr (T::kHasMin) {
    sums.minus = _mm_fmadd_ps(_mm_cvtepi32_ps(scales.mins), _mm_permute_ps(factors, 0x55), sums.minus);
  }
}

template <class T>
void matvec(const WeightRows& weights, const Activations& input, int64_t row, float* out) {
  const Form256 form(input.cols);
  const uint8_t* record = input.form256 + static_cast<size_t>(row) * form.stride;
  const float* scale = reinterpret_cast<const float*>(record + form.scale);
  const int16_t* sum16 = reinterpret_cast<const int16_t*>(record + form.sum16);
  const int16_t* sum32 = reinterpret_cast<const int16_t*>(record + form.sum32);
  for (int n = 0; n < weights.count; ++n) {
    const uint8_t* p = weights.data + n * weights.row_bytes;
    Sums sums;
    for (int64_t block = 0; block < input.cols / 256; ++block, p += T::kBytes) {
      for (int line = 0; line < T::kBytes; line += 64) prefetch(p + line);
      add_block<T>(p, {record + 256 * block, sum16 + 16 * block, sum32 + 8 * block, scale[block]}, sums);
    }
    out[n] = reduce_add(_mm256_sub_ps(sums.total, _mm256_zextps128_ps256(sums.minus)));
  }
}

}  // namespace

void enter_k_matvecs_avx2(MatmulKernels& kernels) {
  kernels.matvec[static_cast<int>(Type::q2_k)] = matvec<Q2_K>;
  kernels.matvec[static_cast<int>(Type::q3_k)] = matvec<Q3_K>;
  kernels.matvec[static_cast<int>(Type::q4_k)] = matvec<Q4_K>;
  kernels.matvec[static_cast<int>(Type::q5_k)] = matvec<Q5_K>;
  kernels.matvec[static_cast<int>(Type::q6_k)] = matvec<Q6_K>;
}

}  // namespace ntx
#endif
