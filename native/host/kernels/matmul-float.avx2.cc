// Matrix products with weights in F32, F16 and BF16, AVX2.
#if defined(__x86_64__)
#include "avx2.h"
#include "matmul-float.h"

namespace ntx {

namespace {

struct Avx2 {
  using Vector = __m256;
  static constexpr int kLanes = 8, kInputs = 3;
  static Vector zero() { return _mm256_setzero_ps(); }
  static Vector load(const float* p) { return _mm256_loadu_ps(p); }
  static Vector half(const uint8_t* p) { return _mm256_cvtph_ps(load16(p)); }
  static Vector brain(const uint8_t* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(p)), 16));
  }
  static void store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
  static void prefetch(const uint8_t* p) { ntx::prefetch(p); }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static float sum(Vector v) { return reduce_add(v); }
  static void sum4(const Vector* v, float* out) {
    const Vector pairs = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
    _mm_storeu_ps(out, _mm_add_ps(_mm_loadu_ps(out), sums));
  }
};

}  // namespace

void enter_float_products_avx2(MatmulKernels& kernels) { enter_float_products<Avx2>(kernels); }

}  // namespace ntx
#endif
