// Matrix-vector products of the types with blocks of 32 weights, AVX-512 VNNI.
#if defined(__x86_64__)
#include "avx512.h"
#include "matvec-blocks.h"

namespace ntx {

namespace {

/// Bit i of the 32 at `high` becomes the fifth bit of code i.
__m256i add_fifth(const uint8_t* high, __m256i codes) {
  return _mm256_mask_add_epi8(codes, _cvtu32_mask32(load_u32(high)), codes, _mm256_set1_epi8(16));
}

__m256i codes(Q4_0, const uint8_t* p) { return nibbles(p + 2); }
__m256i codes(Q4_1, const uint8_t* p) { return nibbles(p + 4); }
__m256i codes(Q5_0, const uint8_t* p) { return add_fifth(p + 2, nibbles(p + 6)); }
__m256i codes(Q5_1, const uint8_t* p) { return add_fifth(p + 4, nibbles(p + 8)); }
__m256i codes(Q8_0, const uint8_t* p) {
  return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 2)), _mm256_set1_epi8(-128));
}

struct Avx512 {
  template <class T>
  static constexpr int kZero = T::kZero;

  template <class T>
  static __m256i dot(const uint8_t* p, __m256i a) {
    return _mm256_dpbusd_epi32(_mm256_setzero_si256(), codes(T(), p), a);
  }
};

}  // namespace

void enter_block_matvecs_avx512(MatmulKernels& kernels) { enter_block_matvecs<Avx512>(kernels); }

}  // namespace ntx
#endif
