// Every loop of VectorKernels, for the instruction set that the including file is compiled for.
#pragma once

#include "attend-split.h"
#include "simd.h"
#include "vector-kernels.h"

namespace ntx {
namespace {

// Sums run in four vectors, the tail last: the order depends on the width alone.
inline void rms_norm(const float* in, const float* weight, float* out, int64_t width, float eps) {
  Vec total[4] = {splat(0), splat(0), splat(0), splat(0)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= width; i += 4 * kLanes) {
    for (int j = 0; j < 4; ++j) {
      const Vec x = load(in + i + j * kLanes);
      total[j] = fma(x, x, total[j]);
    }
  }
  float squares = sum((total[0] + total[1]) + (total[2] + total[3]));
  for (; i < width; ++i) squares += in[i] * in[i];
  const float factor = 1.0f / __builtin_sqrtf(squares / static_cast<float>(width) + eps);
  for (i = 0; i + kLanes <= width; i += kLanes) {
    store(out + i, load(in + i) * splat(factor) * load(weight + i));
  }
  for (; i < width; ++i) out[i] = in[i] * factor * weight[i];
}

inline void to_f16(const float* in, uint16_t* out, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(out + i, load(in + i));
  for (; i < count; ++i) out[i] = float_to_half(in[i]);
}

inline void block_max(const float* values, int64_t count, int64_t block, float* out) {
  for (int64_t begin = 0; begin < count; begin += block, ++out) {
    const int64_t end = begin + block < count ? begin + block : count;
    Vec best = splat(-__builtin_inff());
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) best = max(load(values + i), best);
    float most = max_lane(best);
    for (; i < end; ++i) most = values[i] > most ? values[i] : most;
    *out = most;
  }
}

inline double sum_exp(const float* values, int64_t count, float shift) {
  Vec total[4] = {splat(0), splat(0), splat(0), splat(0)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    for (int j = 0; j < 4; ++j) total[j] = total[j] + exp(load(values + i + j * kLanes) - splat(shift));
  }
  for (; i < count; i += kLanes) {
    float rest[kLanes];
    for (int j = 0; j < kLanes; ++j) rest[j] = i + j < count ? values[i + j] : -__builtin_inff();
    total[0] = total[0] + exp(load(rest) - splat(shift));
  }
  return sum((total[0] + total[1]) + (total[2] + total[3]));
}

inline uint64_t read_all(const uint8_t* bytes, size_t count) {
  VecInt seen[8] = {};
  for (size_t i = 0; i + sizeof seen <= count; i += sizeof seen) {
    for (int j = 0; j < 8; ++j) {
      VecInt part;
      std::memcpy(&part, bytes + i + static_cast<size_t>(j) * sizeof part, sizeof part);
      seen[j] |= part;
    }
  }
  uint64_t all = 0;
  for (int j = 0; j < 8; ++j) {
    for (int lane = 0; lane < kLanes; ++lane) all |= static_cast<uint32_t>(seen[j][lane]);
  }
  return all;
}

constexpr VectorKernels vector_kernels_named(const char* name) {
  return {name, rms_norm, to_f16, attend_split, block_max, sum_exp, read_all};
}

}  // namespace
}  // namespace ntx
