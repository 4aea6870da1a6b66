// Matrix products with weights in F32, F16 and BF16, AVX-512.
#if defined(__x86_64__)
#include "avx512.h"
#include "matmul-float.h"

namespace ntx {

namespace {

struct Avx512 {
  using Vector = __m512;
  static constexpr int kLanes = 16, kInputs = 5;
  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  static Vector half(const uint8_t* p) { return _mm512_cvtph_ps(load32(p)); }
  static Vector brain(const uint8_t* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load32(p)), 16));
  }
  static void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
  static void prefetch(const uint8_t* p) { ntx::prefetch(p); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  static float sum(Vector v) { return reduce_add(v); }
  static void sum4(const Vector* v, float* out) {
    const auto fold = [](Vector x) { return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1)); };
    const __m256 pairs =
        _mm256_hadd_ps(_mm256_hadd_ps(fold(v[0]), fold(v[1])), _mm256_hadd_ps(fold(v[2]), fold(v[3])));
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
    _mm_storeu_ps(out, _mm_add_ps(_mm_loadu_ps(out), sums));
  }
};

}  // namespace

void enter_float_products_avx512(MatmulKernels& kernels) { enter_float_products<Avx512>(kernels); }

}  // namespace ntx
#endif
