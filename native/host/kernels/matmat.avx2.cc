// Matrix-matrix products of the quantised types, AVX2: 16 weight rows times up to four activation rows in registers.
// Products add up in pairs to int16 for as many columns as the type's codes leave room, then to int32. Codes of eight
// bits leave none: Q8_0 is taken apart into two planes of four.
#if defined(__x86_64__)
#include "matmat-tile.h"

namespace ntx {

namespace {

/// Keeps the compiler from turning a chain of additions into a tree, and from loading what a later chain needs early:
/// neither would fit in the registers.
__m256i in_order(__m256i v) {
  asm volatile("" : "+x"(v) : : "memory");
  return v;
}

struct Avx2 {
  static constexpr int kRows = 16, kInputs = 4;
  template <class T>
  static constexpr int kPlanes = T::kCodes == 256 ? 2 : 1;

  /// Steps of four columns whose pairs of products fit in int16 together.
  template <class T>
  static constexpr int kChain = T::kCodes == 32 ? 4 : T::kCodes == 64 ? 2 : T::kSub / 4;

  /// int32 sums of kChain steps of one plane, `weight` times, added to dot.
  template <class T, int Inputs>
  static void add_chain(const uint8_t* codes, const uint8_t* input, size_t in_stride, int weight, __m256i (*dot)[2]) {
    __m256i pairs[Inputs][2];
#pragma GCC unroll 8
    for (int step = 0; step < kChain<T>; ++step, codes += kPlanes<T> * 64, input += 4) {
      const __m256i low = load32(codes), high = load32(codes + 32);
      for (int m = 0; m < Inputs; ++m) {
        const __m256i a = _mm256_set1_epi32(static_cast<int>(load_u32(input + m * in_stride)));
        const __m256i x = _mm256_maddubs_epi16(low, a), y = _mm256_maddubs_epi16(high, a);
        pairs[m][0] = step == 0 ? x : in_order(_mm256_add_epi16(pairs[m][0], x));
        pairs[m][1] = step == 0 ? y : in_order(_mm256_add_epi16(pairs[m][1], y));
      }
    }
    const __m256i weights = _mm256_set1_epi16(static_cast<short>(weight));
    for (int m = 0; m < Inputs; ++m) {
      for (int half = 0; half < 2; ++half) {
        dot[m][half] = _mm256_add_epi32(dot[m][half], _mm256_madd_epi16(pairs[m][half], weights));
      }
    }
  }

  template <class T, int Inputs>
  static void multiply(const PanelProduct& p) {
    constexpr int chains = T::kSub / 4 / kChain<T>, chain_bytes = kChain<T> * kPlanes<T> * 64;
    const uint8_t *codes = p.codes, *input = p.input;
    for (int s = 0; s < p.subs; ++s) {
      __m256i dot[Inputs][2];
      for (int m = 0; m < Inputs; ++m) dot[m][0] = dot[m][1] = _mm256_setzero_si256();
#pragma GCC unroll 4
      for (int chain = 0; chain < chains; ++chain, codes += chain_bytes, input += 4 * kChain<T>) {
        add_chain<T, Inputs>(codes, input, p.in_stride, kPlanes<T> == 2 ? 16 : 1, dot);
        if constexpr (kPlanes<T> == 2) add_chain<T, Inputs>(codes + 64, input, p.in_stride, 1, dot);
      }
      for (int m = 0; m < Inputs; ++m) {
        const size_t row = m * p.in_stride / sizeof(float);
        const __m256 scale = _mm256_set1_ps(p.in_scale[row + (s >> p.scale_shift)]),
                     sum = _mm256_set1_ps(p.in_sum[row + s]);
        for (int half = 0; half < 2; ++half) {
          const int at = 16 * s + 8 * half;
          float* out = p.out + m * p.out_stride + 8 * half;
          const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(dot[m][half]), scale);
          const __m256 total = _mm256_fmadd_ps(product, _mm256_load_ps(p.scale + at), _mm256_loadu_ps(out));
          _mm256_storeu_ps(out, _mm256_fmadd_ps(sum, _mm256_load_ps(p.bias + at), total));
        }
      }
    }
  }
};

}  // namespace

void enter_matmats_avx2(MatmulKernels& kernels) { enter_matmats<Avx2>(kernels); }

}  // namespace ntx
#endif
