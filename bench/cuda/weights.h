// Random weights of every type for product-bench, and what their blocks stand for, decoded by the CPU backend's formats
// (native/host/kernels/quant-formats.h), which share no code with the CUDA kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "../../native/host/kernels/quant-formats.h"
#include "../../native/recorded-op.h"

namespace ntx::bench {

struct TypeInfo {
  Type type;
  const char* name;
  int form;              // activations that share a scale: 0, 32 or 256
  int halves[2];         // byte offsets of the block's f16 factors, -1: none
  float largest_factor;  // what the first factor is multiplied with at most; 0 for floats
};

constexpr TypeInfo kTypes[] = {
    {Type::q8_0, "Q8_0", 32, {0, -1}, 128},      {Type::q4_k, "Q4_K", 256, {0, 2}, 15 * 63},
    {Type::q6_k, "Q6_K", 256, {208, -1}, 32 * 128}, {Type::q5_k, "Q5_K", 256, {0, 2}, 31 * 63},
    {Type::q4_0, "Q4_0", 32, {0, -1}, 8},        {Type::q4_1, "Q4_1", 32, {0, 2}, 15},
    {Type::q5_0, "Q5_0", 32, {0, -1}, 16},       {Type::q5_1, "Q5_1", 32, {0, 2}, 31},
    {Type::q2_k, "Q2_K", 256, {80, 82}, 3 * 15}, {Type::q3_k, "Q3_K", 256, {108, -1}, 4 * 32},
    {Type::f16, "F16", 0, {-1, -1}, 0},          {Type::bf16, "BF16", 0, {-1, -1}, 0},
    {Type::f32, "F32", 0, {-1, -1}, 0},
};

/** A row's weights, and the sizes of the terms that kernels add up for them: scale * code and min apart. */
struct DecodedRow {
  std::vector<float> values, magnitudes;
};

template <class T>
void decode_blocks(const uint8_t* bytes, int64_t cols, DecodedRow& row) {
  constexpr int subs = T::kBlock / T::kSub;
  uint8_t codes[T::kBlock];
  float scale[subs], min[subs] = {};
  for (int64_t block = 0; block < cols / T::kBlock; ++block, bytes += T::kBytes) {
    T::unpack(bytes, codes, scale, min);
    for (int i = 0; i < T::kBlock; ++i) {
      const float product = scale[i / T::kSub] * static_cast<float>(codes[i] - T::kZero), less = min[i / T::kSub];
      row.values.push_back(product - less);
      row.magnitudes.push_back(std::abs(product) + std::abs(less));
    }
  }
}

inline DecodedRow decode_row(Type type, const uint8_t* bytes, int64_t cols) {
  DecodedRow row;
  const auto floats = [&](auto value_of) {
    for (int64_t i = 0; i < cols; ++i) {
      row.values.push_back(value_of(i));
      row.magnitudes.push_back(std::abs(row.values.back()));
    }
  };
  switch (type) {
    case Type::f32: floats([&](int64_t i) { return bits_to_f32(load_u32(bytes + 4 * i)); }); break;
    case Type::f16: floats([&](int64_t i) { return load_f16(bytes + 2 * i); }); break;
    case Type::bf16: floats([&](int64_t i) { return bf16_to_f32(load_u16(bytes + 2 * i)); }); break;
    case Type::q4_0: decode_blocks<Q4_0>(bytes, cols, row); break;
    case Type::q4_1: decode_blocks<Q4_1>(bytes, cols, row); break;
    case Type::q5_0: decode_blocks<Q5_0>(bytes, cols, row); break;
    case Type::q5_1: decode_blocks<Q5_1>(bytes, cols, row); break;
    case Type::q8_0: decode_blocks<Q8_0>(bytes, cols, row); break;
    case Type::q2_k: decode_blocks<Q2_K>(bytes, cols, row); break;
    case Type::q3_k: decode_blocks<Q3_K>(bytes, cols, row); break;
    case Type::q4_k: decode_blocks<Q4_K>(bytes, cols, row); break;
    case Type::q5_k: decode_blocks<Q5_K>(bytes, cols, row); break;
    case Type::q6_k: decode_blocks<Q6_K>(bytes, cols, row); break;
  }
  return row;
}

}  // namespace ntx::bench
