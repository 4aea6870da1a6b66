// What the AVX-512 kernels share. Internal linkage: see quant-formats.h.
#pragma once

// GCC 12 takes the undefined pass-through operands inside its own AVX-512 intrinsics for mistakes (PR 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include "avx2.h"

namespace ntx {
namespace {

inline float reduce_add(__m512 v) {
  return reduce_add(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}

}  // namespace
}  // namespace ntx
