// Matrix-matrix products of the quantised types, AVX-512 VNNI: 32 weight rows times up to six activation rows in
// registers.
#if defined(__x86_64__)
#include "avx512.h"
#include "matmat-tile.h"

namespace ntx {

namespace {

struct Avx512 {
  static constexpr int kRows = 32, kInputs = 6;
  template <class T>
  static constexpr int kPlanes = 1;

  template <class T, int Inputs>
  static void multiply(const PanelProduct& p) {
    constexpr int steps = T::kSub / 4;
    __m512 total[Inputs][2];
    for (int m = 0; m < Inputs; ++m) {
      for (int half = 0; half < 2; ++half) total[m][half] = _mm512_loadu_ps(p.out + m * p.out_stride + 16 * half);
    }
    const uint8_t *codes = p.codes, *input = p.input;
    for (int s = 0; s < p.subs; ++s) {
      __m512i dot[Inputs][2];
      for (int m = 0; m < Inputs; ++m) dot[m][0] = dot[m][1] = _mm512_setzero_si512();
#pragma GCC unroll 8
      for (int step = 0; step < steps; ++step, codes += 128, input += 4) {
        const __m512i low = _mm512_load_si512(codes), high = _mm512_load_si512(codes + 64);
        for (int m = 0; m < Inputs; ++m) {
          const __m512i a = _mm512_set1_epi32(static_cast<int>(load_u32(input + m * p.in_stride)));
          dot[m][0] = _mm512_dpbusd_epi32(dot[m][0], low, a);
          dot[m][1] = _mm512_dpbusd_epi32(dot[m][1], high, a);
        }
      }
      for (int m = 0; m < Inputs; ++m) {
        const size_t row = m * p.in_stride / sizeof(float);
        const __m512 scale = _mm512_set1_ps(p.in_scale[row + (s >> p.scale_shift)]),
                     sum = _mm512_set1_ps(p.in_sum[row + s]);
        for (int half = 0; half < 2; ++half) {
          const int at = 32 * s + 16 * half;
          const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[m][half]), scale);
          total[m][half] = _mm512_fmadd_ps(product, _mm512_load_ps(p.scale + at), total[m][half]);
          total[m][half] = _mm512_fmadd_ps(sum, _mm512_load_ps(p.bias + at), total[m][half]);
        }
      }
    }
    for (int m = 0; m < Inputs; ++m) {
      for (int half = 0; half < 2; ++half) _mm512_storeu_ps(p.out + m * p.out_stride + 16 * half, total[m][half]);
    }
  }
};

}  // namespace

void enter_matmats_avx512(MatmulKernels& kernels) { enter_matmats<Avx512>(kernels); }

}  // namespace ntx
#endif
