// Matrix-vector products of the K-quants, AVX-512 VNNI. A block of 256 weights stays integer up to its own scale: codes
// times activations add up in pairs to int16, and those times the sub-block scales to int32.
#if defined(__x86_64__)
#include "avx512.h"
#include "k-scales.h"

namespace ntx {

namespace {

struct Codes {
  __m512i part[4];  // 64 codes each, in the order that Traits::activations loads
};

__m512i load64(const uint8_t* p) { return _mm512_loadu_si512(p); }
__m512i twice32(const uint8_t* p) {
  return _mm512_broadcast_i64x4(load32(p));
}
__m512i join(__m256i low, __m256i high) { return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1); }
__m512i two_bytes(int low, int high) {
  return join(_mm256_set1_epi8(static_cast<char>(low)), _mm256_set1_epi8(static_cast<char>(high)));
}
__m512i and_mask(__m512i v, int mask) { return _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(mask))); }
__m512i nibble(__m512i v, int shift) { return and_mask(_mm512_srli_epi16(v, static_cast<unsigned>(shift)), 15); }
__m512i add_where(__m512i codes, __m512i bits, __m512i select, int value) {
  return _mm512_mask_add_epi8(codes, _mm512_test_epi8_mask(bits, select), codes,
                              _mm512_set1_epi8(static_cast<char>(value)));
}

/// Word indices for a permutation that hands every group of `Words` int16 lanes one of four scales.
__m512i quarters(int a, int b, int c, int d) {
  const auto lane = [](int i) { return _mm_set1_epi16(static_cast<short>(i)); };
  return join(_mm256_set_m128i(lane(b), lane(a)), _mm256_set_m128i(lane(d), lane(c)));
}

/// 32 activations each from two places.
__m512i pick(const uint8_t* a, int low, int high) {
  return join(load32(a + low),
              load32(a + high));
}

struct Nibbles {  // Q4_K and Q5_K: sub-blocks (0, 2), (1, 3), (4, 6), (5, 7)
  static __m512i activations(const uint8_t* a, int i) {
    const int first = 128 * (i / 2) + 32 * (i % 2);
    return pick(a, first, first + 64);
  }
  static __m512i scale_index(int i) {
    const int first = 4 * (i / 2) + i % 2;
    return quarters(first, first, first + 2, first + 2);
  }
  static Codes codes(const uint8_t* qs) {
    const __m512i a = load64(qs), b = load64(qs + 64);
    return {{nibble(a, 0), nibble(a, 4), nibble(b, 0), nibble(b, 4)}};
  }
};

struct Crumbs {  // Q2_K and Q3_K: 32 weights of the first half with 32 of the second
  static __m512i activations(const uint8_t* a, int i) { return pick(a, 32 * i, 128 + 32 * i); }
  // Words 0..7 hold the even scales, 8..15 the odd ones.
  static __m512i scale_index(int i) { return quarters(i, 8 + i, 4 + i, 12 + i); }
  static Codes codes(const uint8_t* qs) {
    const __m512i q = load64(qs);
    return {{and_mask(q, 3), and_mask(_mm512_srli_epi16(q, 2), 3), and_mask(_mm512_srli_epi16(q, 4), 3),
             and_mask(_mm512_srli_epi16(q, 6), 3)}};
  }
};

template <class T>
struct Traits;

template <>
struct Traits<Q4_K> : Nibbles {
  static constexpr int kScale = 0;
  static Codes codes(const uint8_t* p) { return Nibbles::codes(p + 16); }
};

template <>
struct Traits<Q5_K> : Nibbles {
  static constexpr int kScale = 0;
  static Codes codes(const uint8_t* p) {
    Codes codes = Nibbles::codes(p + 48);
    const __m512i high = twice32(p + 16);
    for (int i = 0; i < 4; ++i) {
      const int first = 4 * (i / 2) + i % 2;
      codes.part[i] = add_where(codes.part[i], high, two_bytes(1 << first, 4 << first), 16);
    }
    return codes;
  }
};

template <>
struct Traits<Q2_K> : Crumbs {
  static constexpr int kScale = 80;
  static Codes codes(const uint8_t* p) { return Crumbs::codes(p + 16); }
};

template <>
struct Traits<Q3_K> : Crumbs {
  static constexpr int kScale = 108;
  static Codes codes(const uint8_t* p) {
    Codes codes = Crumbs::codes(p + 32);
    const __m512i high = twice32(p);
    for (int i = 0; i < 4; ++i) codes.part[i] = add_where(codes.part[i], high, two_bytes(1 << i, 16 << i), 4);
    return codes;
  }
};

template <>
struct Traits<Q6_K> {
  static constexpr int kScale = 208;
  static __m512i activations(const uint8_t* a, int i) { return load64(a + 64 * i); }
  static __m512i scale_index(int i) { return quarters(2 * i, 8 + 2 * i, 2 * i + 1, 8 + 2 * i + 1); }
  static Codes codes(const uint8_t* p) {
    const __m512i left = join(_mm256_set1_epi16(4), _mm256_set1_epi16(2));
    const __m512i right = join(_mm256_set1_epi16(0), _mm256_set1_epi16(2));
    Codes codes;
    for (int half = 0; half < 2; ++half) {
      const __m512i low = load64(p + 64 * half), high = twice32(p + 128 + 32 * half);
      codes.part[2 * half] = _mm512_or_si512(nibble(low, 0), and_mask(_mm512_sllv_epi16(high, left), 0x30));
      codes.part[2 * half + 1] = _mm512_or_si512(nibble(low, 4), and_mask(_mm512_srlv_epi16(high, right), 0x30));
    }
    return codes;
  }
};

/// One row's running sums: `total` of the products, `minus` of what the mins take away.
struct Sums {
  __m512 total = _mm512_setzero_ps();
  __m128 minus = _mm_setzero_ps();
};

struct BlockInput {
  const uint8_t* codes;
  const int16_t *sum16, *sum32;
  float scale;
};

/// Integer scales of a block, ordered for Traits::scale_index, and the start value of its int32 sums.
struct Scales {
  __m512i words, start;
};

template <class T>
Scales block_scales(const uint8_t* p, const BlockInput& a, __m128i& mins) {
  if constexpr (T::kSub == 32) {
    const __m256i both = six_bit_scales(p + 4);
    const __m128i sums = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a.sum32));
    mins = _mm_madd_epi16(_mm256_extracti128_si256(both, 1), sums);
    return {_mm512_castsi256_si512(both), _mm512_setzero_si512()};
  } else {
    const __m256i sums = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a.sum16));
    if constexpr (T::kHasMin) {
      const __m128i bytes = evens_first(load16(p));
      const __m128i fours = _mm_set1_epi8(15);
      mins = fold(_mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(bytes, 4), fours)), sums));
      return {_mm512_castsi256_si512(_mm256_cvtepu8_epi16(_mm_and_si128(bytes, fours))), _mm512_setzero_si512()};
    } else {
      const __m256i words = _mm256_cvtepi8_epi16(evens_first(signed_scales(T(), p)));
      constexpr int shift = T::kZero == 32 ? 5 : 2;
      static_assert(T::kZero == 1 << shift);
      const __m256i zeros = _mm256_slli_epi32(_mm256_madd_epi16(words, sums), shift);
      return {_mm512_castsi256_si512(words), _mm512_zextsi256_si512(_mm256_sub_epi32(_mm256_setzero_si256(), zeros))};
    }
  }
}

template <class T>
void add_block(const uint8_t* p, const BlockInput& a, Sums& sums) {
  __m128i mins = _mm_setzero_si128();
  const Scales scales = block_scales<T>(p, a, mins);
  const Codes codes = Traits<T>::codes(p);
  __m512i dot = scales.start;
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512i pairs = _mm512_maddubs_epi16(codes.part[i], Traits<T>::activations(a.codes, i));
    dot = _mm512_dpwssd_epi32(dot, pairs, _mm512_permutexvar_epi16(Traits<T>::scale_index(i), scales.words));
  }
  // d and, where there is one, dmin lie side by side.
  const int bits = T::kHasMin ? static_cast<int>(load_u32(p + Traits<T>::kScale)) : load_u16(p + Traits<T>::kScale);
  const __m128 factors = _mm_mul_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)), _mm_set1_ps(a.scale));
  sums.total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_broadcastss_ps(factors), sums.total);
  if constexpr (T::kHasMin) {
    sums.minus = _mm_fmadd_ps(_mm_cvtepi32_ps(mins), _mm_permute_ps(factors, 0x55), sums.minus);
  }
}

float reduce(const Sums& sums) {
  return reduce_add(_mm512_sub_ps(sums.total, _mm512_zextps128_ps512(sums.minus)));
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
    out[n] = reduce(sums);
  }
}

}  // namespace

void enter_k_matvecs_avx512(MatmulKernels& kernels) {
  kernels.matvec[static_cast<int>(Type::q2_k)] = matvec<Q2_K>;
  kernels.matvec[static_cast<int>(Type::q3_k)] = matvec<Q3_K>;
  kernels.matvec[static_cast<int>(Type::q4_k)] = matvec<Q4_K>;
  kernels.matvec[static_cast<int>(Type::q5_k)] = matvec<Q5_K>;
  kernels.matvec[static_cast<int>(Type::q6_k)] = matvec<Q6_K>;
}

}  // namespace ntx
#endif
