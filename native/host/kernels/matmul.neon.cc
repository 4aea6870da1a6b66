// Matrix products for ARMv8 with NEON.
#ifdef __aarch64__
#include <arm_neon.h>

#include "matmul-float.h"
#include "matmul-plain.h"

namespace ntx {

namespace {

struct Neon {
  using Vector = float32x4_t;
  static constexpr int kLanes = 4, kInputs = 4;
  static Vector zero() { return vdupq_n_f32(0); }
  static Vector load(const float* p) { return vld1q_f32(p); }
  static Vector half(const uint8_t* p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
  static Vector brain(const uint8_t* p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
  }
  static void store(float* p, Vector v) { vst1q_f32(p, v); }
  static void prefetch(const uint8_t* p) { __builtin_prefetch(p + 1024); }
  static Vector add(Vector a, Vector b) { return vaddq_f32(a, b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return vfmaq_f32(c, a, b); }
  static float sum(Vector v) { return vaddvq_f32(v); }
  static void sum4(const Vector* v, float* out) {
    const Vector sums = vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3]));
    vst1q_f32(out, vaddq_f32(vld1q_f32(out), sums));
  }

  /// code - Zero fits in int8 for every type; two products of 128 * 127 fit in int16.
  template <int Count, int Zero>
  static int dot(const uint8_t* codes, const int8_t* a) {
    int32x4_t sum = vdupq_n_s32(0);
    for (int i = 0; i < Count; i += 16) {
      const int8x16_t w = vreinterpretq_s8_u8(vsubq_u8(vld1q_u8(codes + i), vdupq_n_u8(Zero))), x = vld1q_s8(a + i);
      sum = vpadalq_s16(sum, vmlal_s8(vmull_s8(vget_low_s8(w), vget_low_s8(x)), vget_high_s8(w), vget_high_s8(x)));
    }
    return vaddvq_s32(sum);
  }
};

MatmulKernels make_table() {
  MatmulKernels kernels = portable_kernels();
  kernels.name = "neon";
  enter_float_products<Neon>(kernels);
  enter_plain_products<Neon>(kernels);
  return kernels;
}

}  // namespace

const MatmulKernels* neon_kernels() {
  static const MatmulKernels table = make_table();
  return &table;
}

}  // namespace ntx
#endif
