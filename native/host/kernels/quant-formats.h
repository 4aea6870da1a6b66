// Block layouts of ggml's quantised types (ggml-common.h), one struct a type: how its bytes become unsigned codes, and
// the factors that make weights of them:  w = scale * (code - kZero) - min,  one (scale, min) for every kSub weights.
//
// Everything here has internal linkage: the header is compiled once for each instruction set, and the linker must not
// choose one of those copies for all.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace ntx {
namespace {

inline float bits_to_f32(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// IEEE half to float, exact for every input.
inline float f16_to_f32(uint16_t half) {
#if defined(__F16C__)
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
#else
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fff) << 13;
  if (magnitude >= 0x7c00u << 13) return bits_to_f32(sign | magnitude | 0x7f800000);
  // The exponent field still has half's bias; 2^112 is the difference, and makes normal numbers of denormal ones.
  return bits_to_f32(sign | 0x3f800000) * (bits_to_f32(magnitude) * 0x1p112f);
#endif
}

inline float bf16_to_f32(uint16_t value) { return bits_to_f32(static_cast<uint32_t>(value) << 16); }

inline uint16_t load_u16(const uint8_t* p) {
  uint16_t value;
  std::memcpy(&value, p, 2);
  return value;
}

inline uint32_t load_u32(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, 4);
  return value;
}

inline float load_f16(const uint8_t* p) { return f16_to_f32(load_u16(p)); }

/// qs[16]: weights 0..15 in the low nibbles, 16..31 in the high ones. Eight at a time, as compilers do not see it.
inline void unpack_nibbles(const uint8_t* qs, uint8_t* codes) {
  constexpr uint64_t kLow = 0x0f0f0f0f0f0f0f0f;
  for (int i = 0; i < 16; i += 8) {
    uint64_t pairs;
    std::memcpy(&pairs, qs + i, 8);
    const uint64_t low = pairs & kLow, high = pairs >> 4 & kLow;
    std::memcpy(codes + i, &low, 8);
    std::memcpy(codes + i + 16, &high, 8);
  }
}

/// Adds bit i of the four bytes at `high` to code i as its fifth bit.
inline void add_fifth_bits(const uint8_t* high, uint8_t* codes) {
  for (int i = 0; i < 4; ++i) {
    // Byte j keeps bit j of the eight alone; adding 127 then carries into bit 7 of every byte that is not zero.
    const uint64_t alone = (high[i] * 0x0101010101010101u) & 0x8040201008040201u;
    const uint64_t fifth = ((alone + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> 3;
    uint64_t eight;
    std::memcpy(&eight, codes + 8 * i, 8);
    eight |= fifth;
    std::memcpy(codes + 8 * i, &eight, 8);
  }
}

struct Q4_0 {
  static constexpr int kBlock = 32, kBytes = 18, kSub = 32, kZero = 8, kCodes = 16;
  static constexpr bool kHasMin = false;
  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict) {
    scale[0] = load_f16(p);
    unpack_nibbles(p + 2, codes);
  }
};

struct Q4_1 {
  static constexpr int kBlock = 32, kBytes = 20, kSub = 32, kZero = 0, kCodes = 16;
  static constexpr bool kHasMin = true;
  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict min) {
    scale[0] = load_f16(p);
    min[0] = -load_f16(p + 2);
    unpack_nibbles(p + 4, codes);
  }
};

struct Q5_0 {
  static constexpr int kBlock = 32, kBytes = 22, kSub = 32, kZero = 16, kCodes = 32;
  static constexpr bool kHasMin = false;
  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict) {
    scale[0] = load_f16(p);
    unpack_nibbles(p + 6, codes);
    add_fifth_bits(p + 2, codes);
  }
};

struct Q5_1 {
  static constexpr int kBlock = 32, kBytes = 24, kSub = 32, kZero = 0, kCodes = 32;
  static constexpr bool kHasMin = true;
  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict min) {
    scale[0] = load_f16(p);
    min[0] = -load_f16(p + 2);
    unpack_nibbles(p + 8, codes);
    add_fifth_bits(p + 4, codes);
  }
};

struct Q8_0 {
  static constexpr int kBlock = 32, kBytes = 34, kSub = 32, kZero = 128, kCodes = 256;
  static constexpr bool kHasMin = false;
  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict) {
    scale[0] = load_f16(p);
    for (int i = 0; i < 32; ++i) codes[i] = p[2 + i] ^ 0x80;
  }
};

/// The 2-bit planes of Q2_K and Q3_K: 128 weights in 32 bytes, weight 32 j + l in bits 2j of byte l.
inline void unpack_crumbs(const uint8_t* __restrict qs, uint8_t* __restrict codes) {
  for (int n = 0; n < 2; ++n) {
    for (int j = 0; j < 4; ++j) {
      for (int l = 0; l < 32; ++l) codes[128 * n + 32 * j + l] = qs[32 * n + l] >> (2 * j) & 3;
    }
  }
}

/// scales[16] (low nibble scale, high nibble min), qs[64], f16 d, f16 dmin
struct Q2_K {
  static constexpr int kBlock = 256, kBytes = 84, kSub = 16, kZero = 0, kCodes = 4;
  static constexpr bool kHasMin = true;
  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict min) {
    const float d = load_f16(p + 80), dmin = load_f16(p + 82);
    for (int s = 0; s < 16; ++s) {
      scale[s] = d * static_cast<float>(p[s] & 15);
      min[s] = dmin * static_cast<float>(p[s] >> 4);
    }
    unpack_crumbs(p + 16, codes);
  }
};

/// hmask[32] (bit s / 2 of byte l: third bit), qs[64], scales[12] of 6 bits, f16 d
struct Q3_K {
  static constexpr int kBlock = 256, kBytes = 110, kSub = 16, kZero = 4, kCodes = 8;
  static constexpr bool kHasMin = false;

  /// Four bits of each scale in the nibbles of bytes 0..7, two more in bytes 8..11; biased by 32.
  static void unpack_scales(const uint8_t* p, int8_t* scales) {
    for (int s = 0; s < 16; ++s) {
      const int low = s < 8 ? p[s] & 15 : p[s - 8] >> 4;
      const int high = p[8 + s % 4] >> (2 * (s / 4)) & 3;
      scales[s] = static_cast<int8_t>((low | high << 4) - 32);
    }
  }

  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict) {
    const float d = load_f16(p + 108);
    int8_t scales[16];
    unpack_scales(p + 96, scales);
    for (int s = 0; s < 16; ++s) scale[s] = d * static_cast<float>(scales[s]);
    unpack_crumbs(p + 32, codes);
    for (int j = 0; j < 8; ++j) {
      for (int l = 0; l < 32; ++l) codes[32 * j + l] |= static_cast<uint8_t>((p[l] >> j & 1) << 2);
    }
  }
};

/// The twelve bytes of Q4_K and Q5_K that hold eight scales and eight mins of six bits.
inline void unpack_k_scales(const uint8_t* p, float d, float dmin, float* scale, float* min) {
  for (int s = 0; s < 8; ++s) {
    const int sc = s < 4 ? p[s] & 63 : (p[s + 4] & 15) | (p[s - 4] >> 6) << 4;
    const int m = s < 4 ? p[s + 4] & 63 : p[s + 4] >> 4 | (p[s] >> 6) << 4;
    scale[s] = d * static_cast<float>(sc);
    min[s] = dmin * static_cast<float>(m);
  }
}

/// 64 weights in 32 bytes: the low nibbles, then the high ones.
inline void unpack_k_nibbles(const uint8_t* __restrict qs, uint8_t* __restrict codes) {
  for (int j = 0; j < 4; ++j) {
    for (int l = 0; l < 32; ++l) {
      codes[64 * j + l] = qs[32 * j + l] & 15;
      codes[64 * j + 32 + l] = qs[32 * j + l] >> 4;
    }
  }
}

/// f16 d, f16 dmin, scales[12], qs[128]
struct Q4_K {
  static constexpr int kBlock = 256, kBytes = 144, kSub = 32, kZero = 0, kCodes = 16;
  static constexpr bool kHasMin = true;
  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict min) {
    unpack_k_scales(p + 4, load_f16(p), load_f16(p + 2), scale, min);
    unpack_k_nibbles(p + 16, codes);
  }
};

/// f16 d, f16 dmin, scales[12], qh[32] (bit s of byte l: fifth bit), qs[128]
struct Q5_K {
  static constexpr int kBlock = 256, kBytes = 176, kSub = 32, kZero = 0, kCodes = 32;
  static constexpr bool kHasMin = true;
  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict min) {
    unpack_k_scales(p + 4, load_f16(p), load_f16(p + 2), scale, min);
    unpack_k_nibbles(p + 48, codes);
    for (int s = 0; s < 8; ++s) {
      for (int l = 0; l < 32; ++l) codes[32 * s + l] |= static_cast<uint8_t>((p[16 + l] >> s & 1) << 4);
    }
  }
};

/// ql[128], qh[64], int8 scales[16], f16 d; per 128 weights: low nibbles of ql[0..63], then high ones, two bits each of
/// qh
struct Q6_K {
  static constexpr int kBlock = 256, kBytes = 210, kSub = 16, kZero = 32, kCodes = 64;
  static constexpr bool kHasMin = false;
  static void unpack(const uint8_t* __restrict p, uint8_t* __restrict codes, float* __restrict scale,
                     float* __restrict) {
    const float d = load_f16(p + 208);
    for (int s = 0; s < 16; ++s) scale[s] = d * static_cast<float>(static_cast<int8_t>(p[192 + s]));
    for (int n = 0; n < 2; ++n) {
      const uint8_t *ql = p + 64 * n, *qh = p + 128 + 32 * n;
      uint8_t* out = codes + 128 * n;
      for (int l = 0; l < 64; ++l) {
        out[l] = ql[l] & 15;
        out[64 + l] = ql[l] >> 4;
      }
      for (int j = 0; j < 4; ++j) {
        for (int l = 0; l < 32; ++l) out[32 * j + l] |= static_cast<uint8_t>((qh[l] >> (2 * j) & 3) << 4);
      }
    }
  }
};

}  // namespace
}  // namespace ntx
