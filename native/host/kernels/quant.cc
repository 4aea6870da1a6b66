#include "kernels.h"
#include "quant-formats.h"

namespace ntx {

namespace {

template <class T>
constexpr bool matches(Type type) {
  return block_size(type).weights == T::kBlock && block_size(type).bytes == T::kBytes;
}
static_assert(matches<Q4_0>(Type::q4_0) && matches<Q4_1>(Type::q4_1) && matches<Q5_0>(Type::q5_0));
static_assert(matches<Q5_1>(Type::q5_1) && matches<Q8_0>(Type::q8_0) && matches<Q2_K>(Type::q2_k));
static_assert(matches<Q3_K>(Type::q3_k) && matches<Q4_K>(Type::q4_k) && matches<Q5_K>(Type::q5_k));
static_assert(matches<Q6_K>(Type::q6_k));

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
