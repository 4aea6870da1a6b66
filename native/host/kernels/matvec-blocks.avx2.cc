// Matrix-vector products of the types with blocks of 32 weights, AVX2.
#if defined(__x86_64__)
#include "matvec-blocks.h"

namespace ntx {

namespace {

/// Bit i of the 32 at `high` becomes the fifth bit of code i.
__m256i add_fifth(const uint8_t* high, __m256i codes) {
  const __m256i bits = _mm256_set1_epi32(static_cast<int>(load_u32(high)));
  const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i select = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  const __m256i picked = _mm256_and_si256(_mm256_shuffle_epi8(bits, spread), select);
  const __m256i set = _mm256_cmpeq_epi8(picked, select);
  return _mm256_or_si256(codes, _mm256_and_si256(set, _mm256_set1_epi8(16)));
}

__m256i codes(Q4_0, const uint8_t* p) { return nibbles(p + 2); }
__m256i codes(Q4_1, const uint8_t* p) { return nibbles(p + 4); }
__m256i codes(Q5_0, const uint8_t* p) { return add_fifth(p + 2, nibbles(p + 6)); }
__m256i codes(Q5_1, const uint8_t* p) { return add_fifth(p + 4, nibbles(p + 8)); }

struct Avx2 {
  /// Q8_0's codes are taken as signed.
  template <class T>
  static constexpr int kZero = T::kCodes == 256 ? 0 : T::kZero;

  template <class T>
  static __m256i dot(const uint8_t* p, __m256i a) {
    __m256i pairs;
    if constexpr (T::kCodes == 256) {
      // The signs move to the activations, which are never -128: 128 * 127 * 2 still fits in 16 bits.
      const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 2));
      pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
    } else {
      pairs = _mm256_maddubs_epi16(codes(T(), p), a);
    }
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }
};

}  // namespace

void enter_block_matvecs_avx2(MatmulKernels& kernels) { enter_block_matvecs<Avx2>(kernels); }

}  // namespace ntx
#endif
