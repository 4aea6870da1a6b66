#include "kernels.h"
#include "quant-formats.h"

namespace ntx {

namespace {

template <class T>
void decode_blocks(const uint8_t* row, int64_t cols, float* out) {
  constexpr int subs = T::kBlock / T::kSub;
  uint8_t codes[T::kBlock];
  float scale[subs], min[subs] = {};
  for (int64_t block = 0; block < cols / T::kBlock; ++block, row += T::kBytes, out += T::kBlock) {
    T::unpack(row, codes, scale, min);
    for (int i = 0; i < T::kBlock; ++i) {
      const float product = scale[i / T::kSub] * static_cast<float>(codes[i] - T::kZero);
      out[i] = T::kHasMin ? product - min[i / T::kSub] : product;
    }
  }
}

template <float (*Convert)(uint16_t)>
void decode_halves(const uint8_t* row, int64_t cols, float* out) {
  for (int64_t i = 0; i < cols; ++i) out[i] = Convert(load_u16(row + 2 * i));
}

}  // namespace

BlockSize block_size(Type type) {
  switch (type) {
    case Type::f32: return {1, 4};
    case Type::f16:
    case Type::bf16: return {1, 2};
    case Type::q4_0: return {Q4_0::kBlock, Q4_0::kBytes};
    case Type::q4_1: return {Q4_1::kBlock, Q4_1::kBytes};
    case Type::q5_0: return {Q5_0::kBlock, Q5_0::kBytes};
    case Type::q5_1: return {Q5_1::kBlock, Q5_1::kBytes};
    case Type::q8_0: return {Q8_0::kBlock, Q8_0::kBytes};
    case Type::q2_k: return {Q2_K::kBlock, Q2_K::kBytes};
    case Type::q3_k: return {Q3_K::kBlock, Q3_K::kBytes};
    case Type::q4_k: return {Q4_K::kBlock, Q4_K::kBytes};
    case Type::q5_k: return {Q5_K::kBlock, Q5_K::kBytes};
    case Type::q6_k: return {Q6_K::kBlock, Q6_K::kBytes};
  }
  return {0, 0};
}

void decode_row(Type type, const uint8_t* row, int64_t cols, float* out) {
  switch (type) {
    case Type::f32: std::memcpy(out, row, static_cast<size_t>(cols) * 4); return;
    case Type::f16: return decode_halves<f16_to_f32>(row, cols, out);
    case Type::bf16: return decode_halves<bf16_to_f32>(row, cols, out);
    case Type::q4_0: return decode_blocks<Q4_0>(row, cols, out);
    case Type::q4_1: return decode_blocks<Q4_1>(row, cols, out);
    case Type::q5_0: return decode_blocks<Q5_0>(row, cols, out);
    case Type::q5_1: return decode_blocks<Q5_1>(row, cols, out);
    case Type::q8_0: return decode_blocks<Q8_0>(row, cols, out);
    case Type::q2_k: return decode_blocks<Q2_K>(row, cols, out);
    case Type::q3_k: return decode_blocks<Q3_K>(row, cols, out);
    case Type::q4_k: return decode_blocks<Q4_K>(row, cols, out);
    case Type::q5_k: return decode_blocks<Q5_K>(row, cols, out);
    case Type::q6_k: return decode_blocks<Q6_K>(row, cols, out);
  }
}

}  // namespace ntx
