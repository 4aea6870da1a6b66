// One vector of floats under one name for every instruction set, so that a kernel is written once and compiled per set.
// Everything here has internal linkage: the header is compiled with different flags, and the linker must not choose one
// of those copies for all. For the same reason kernels that include it use nothing of the standard library.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__F16C__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ntx {
namespace {

#if defined(__AVX512F__)

using Vec = __m512;
constexpr int kLanes = 16;
constexpr int kRegisters = 32;

inline Vec splat(float x) { return _mm512_set1_ps(x); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline Vec load(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline void store(uint16_t* p, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }

/// out[i] = the sum of v[i]'s lanes.
inline void sum4(const Vec* v, float* out) {
  // Each step halves the vectors and doubles the sums a vector holds; quarters are folded last.
  const Vec ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
  const Vec cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
  const Vec abcd = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}

#elif defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)

using Vec = __m256;
constexpr int kLanes = 8;
constexpr int kRegisters = 16;

inline Vec splat(float x) { return _mm256_set1_ps(x); }
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline Vec load(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
inline void store(uint16_t* p, Vec v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }

inline void sum4(const Vec* v, float* out) {
  const Vec ab = _mm256_add_ps(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1]));
  const Vec cd = _mm256_add_ps(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3]));
  const Vec abcd = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1)));
}

#else

constexpr int kLanes = 4;

inline float bits_to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fff) << 13;
  if (magnitude >= 0x7c00u << 13) return bits_to_float(sign | magnitude | 0x7f800000);
  // 2^112 is the difference of the exponent biases; the product also normalises half's denormals.
  return bits_to_float(sign | 0x3f800000) * (bits_to_float(magnitude) * 0x1p112f);
}

/// Round to nearest, ties to even; too large becomes infinite, NaN stays NaN.
inline uint16_t float_to_half(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return sign | 0x7e00;
  if (bits >= 0x477ff000) return sign | 0x7c00;  // 65520 and above
  if (bits < 0x38800000) {  // below 2^-14: denormal halves, whose unit is 2^-24
    const float magnitude = bits_to_float(bits) + 0.5f;  // the sum's own rounding: its last bit is worth 2^-24
    std::memcpy(&bits, &magnitude, 4);
    return sign | static_cast<uint16_t>(bits - 0x3f000000);
  }
  bits += 0xfff + (bits >> 13 & 1);
  return sign | static_cast<uint16_t>((bits - (112u << 23)) >> 13);
}

#if defined(__aarch64__)

using Vec = float32x4_t;
constexpr int kRegisters = 32;

inline Vec splat(float x) { return vdupq_n_f32(x); }
inline Vec load(const float* p) { return vld1q_f32(p); }
inline Vec load(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
inline void store(float* p, Vec v) { vst1q_f32(p, v); }
inline void store(uint16_t* p, Vec v) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
inline void sum4(const Vec* v, float* out) {
  vst1q_f32(out, vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3])));
}

#else

typedef float Vec __attribute__((vector_size(16)));
constexpr int kRegisters = 16;

inline Vec splat(float x) { return Vec{x, x, x, x}; }
inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline Vec load(const uint16_t* p) {
  return Vec{half_to_float(p[0]), half_to_float(p[1]), half_to_float(p[2]), half_to_float(p[3])};
}
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
inline void store(uint16_t* p, Vec v) {
  for (int i = 0; i < kLanes; ++i) p[i] = float_to_half(v[i]);
}
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline void sum4(const Vec* v, float* out) {
  for (int i = 0; i < 4; ++i) out[i] = (v[i][0] + v[i][2]) + (v[i][1] + v[i][3]);
}

#endif
#endif

#if defined(__F16C__)
inline float half_to_float(uint16_t half) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half))); }
inline uint16_t float_to_half(float value) {
  const __m128i half = _mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return static_cast<uint16_t>(_mm_cvtsi128_si32(half));
}
#endif

// What follows needs only the compilers' own vector arithmetic (GCC and Clang alike).

typedef int32_t VecInt __attribute__((vector_size(kLanes * 4)));

inline VecInt as_int(Vec v) {
  VecInt bits;
  std::memcpy(&bits, &v, sizeof v);
  return bits;
}

inline Vec as_float(VecInt bits) {
  Vec v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

/// mask is all ones or all zeros in each lane.
inline Vec select(VecInt mask, Vec yes, Vec no) { return as_float((as_int(yes) & mask) | (as_int(no) & ~mask)); }

/// The larger of each lane; a NaN in `a` is dropped.
inline Vec max(Vec a, Vec b) {
  const VecInt greater = a > b;
  return select(greater, a, b);
}

inline float sum(Vec v) {
  const Vec vectors[4] = {v, splat(0), splat(0), splat(0)};
  float sums[4];
  sum4(vectors, sums);
  return sums[0];
}

inline float max_lane(Vec v) {
  float lanes[kLanes], best;
  store(lanes, v);
  best = lanes[0];
  for (int i = 1; i < kLanes; ++i) best = lanes[i] > best ? lanes[i] : best;
  return best;
}

/// e^x within 2 units in the last place for x <= 0, which is what softmax needs; 0 below -87.3, NaN for NaN.
inline Vec exp(Vec x) {
  const VecInt underflow = x < splat(-87.3f);
  const Vec clamped = select(underflow, splat(-87.3f), x);
  // Adding 1.5 * 2^23 rounds to an integer n, which then sits in the low bits. e^x = 2^n e^r with |r| <= ln(2) / 2,
  // where Taylor's series to r^6 is off by at most 1.2e-7.
  const Vec magic = splat(12582912.0f);
  const Vec shifted = fma(clamped, splat(1.44269504f), magic);
  const Vec n = shifted - magic;
  const Vec r = fma(n, splat(-1.42860677e-6f), fma(n, splat(-0.693145752f), clamped));
  Vec p = splat(1.38888889e-3f);
  p = fma(p, r, splat(8.33333333e-3f));
  p = fma(p, r, splat(4.16666667e-2f));
  p = fma(p, r, splat(1.66666667e-1f));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  const Vec scaled = as_float(as_int(p) + ((as_int(shifted) - as_int(magic)) << 23));
  const VecInt number = x == x;
  return select(number, select(underflow, splat(0), scaled), x);
}

}  // namespace
}  // namespace ntx
