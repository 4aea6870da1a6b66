// Plain C++ for every type: the kernels of CPUs without a table of their own, and the base that other tables build on.
#include "matmul-plain.h"

namespace ntx {

namespace {

/// Largest magnitude among `count` values as float bits; these order like the magnitudes, with NaN above infinity.
float largest_magnitude(const float* values, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, 4);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  return bits_to_f32(largest);
}

/// Adding this leaves no bits for a fraction, so that the addition itself rounds, to even in ties.
constexpr float kRounder = 0x1.8p23f;

/// Rounds `count` values to codes of -127..127, and returns their scale. A value that is not finite makes the scale so.
float round_codes(const float* values, int64_t count, int8_t* codes) {
  const float scale = largest_magnitude(values, count) / 127;
  const float inverse = scale > 0 ? 1 / scale : 0;
  for (int64_t i = 0; i < count; ++i) {
    const float code = values[i] * inverse;
    // Written so that NaN becomes a number too: converting it would be undefined.
    const float bounded = code > -127 ? (code < 127 ? code : 127) : -127;
    codes[i] = static_cast<int8_t>(bounded + kRounder - kRounder);
  }
  return scale;
}

int sum_codes(const int8_t* codes, int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += codes[i];
  return sum;
}

void round32(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record) {
  const Form32 form(cols);
  int8_t* codes = reinterpret_cast<int8_t*>(record);
  float* scale = reinterpret_cast<float*>(record + form.scale);
  float* sum = reinterpret_cast<float*>(record + form.sum);
  for (int64_t block = begin / 32; block < end / 32; ++block) {
    scale[block] = round_codes(values + 32 * block, 32, codes + 32 * block);
    sum[block] = scale[block] * static_cast<float>(sum_codes(codes + 32 * block, 32));
  }
}

void round256(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record) {
  const Form256 form(cols);
  int8_t* codes = reinterpret_cast<int8_t*>(record);
  float* scale = reinterpret_cast<float*>(record + form.scale);
  int16_t* sum16 = reinterpret_cast<int16_t*>(record + form.sum16);
  int16_t* sum32 = reinterpret_cast<int16_t*>(record + form.sum32);
  float* sum = reinterpret_cast<float*>(record + form.sum);
  float* fine_sum = reinterpret_cast<float*>(record + form.fine_sum);
  for (int64_t block = begin / 256; block < end / 256; ++block) {
    scale[block] = round_codes(values + 256 * block, 256, codes + 256 * block);
    for (int64_t i = 8 * block; i < 8 * (block + 1); ++i) {
      const int even = sum_codes(codes + 32 * i, 16), odd = sum_codes(codes + 32 * i + 16, 16);
      sum16[8 * block + i] = static_cast<int16_t>(even);
      sum16[8 * block + i + 8] = static_cast<int16_t>(odd);
      sum32[i] = static_cast<int16_t>(even + odd);
      fine_sum[2 * i] = scale[block] * static_cast<float>(even);
      fine_sum[2 * i + 1] = scale[block] * static_cast<float>(odd);
      sum[i] = scale[block] * static_cast<float>(even + odd);
    }
  }
}

struct Portable {
  template <int Count, int Zero>
  static int dot(const uint8_t* codes, const int8_t* a) {
    int sum = 0;
    for (int i = 0; i < Count; ++i) sum += (codes[i] - Zero) * a[i];
    return sum;
  }
};

float f32_at(const uint8_t* p) { return bits_to_f32(load_u32(p)); }
float f16_at(const uint8_t* p) { return load_f16(p); }
float bf16_at(const uint8_t* p) { return bf16_to_f32(load_u16(p)); }

/// Eight partial sums, which compilers can keep in vector registers without reordering additions.
template <int Bytes, float (*Load)(const uint8_t*)>
void float_tile(const Tile& tile) {
  const int64_t cols = tile.input->cols;
  for (int n = 0; n < tile.weights.count; ++n) {
    const uint8_t* weights = tile.weights.data + n * tile.weights.row_bytes;
    for (int64_t m = 0; m < tile.rows; ++m) {
      const float* a = tile.input->values + (tile.row + m) * cols;
      float partial[8] = {};
      int64_t k = 0;
      for (; k + 8 <= cols; k += 8) {
        for (int i = 0; i < 8; ++i) partial[i] += Load(weights + (k + i) * Bytes) * a[k + i];
      }
      for (int i = 0; k < cols; ++k, ++i) partial[i] += Load(weights + k * Bytes) * a[k];
      tile.out[m * tile.out_stride + n] = ((partial[0] + partial[4]) + (partial[1] + partial[5])) +
                                          ((partial[2] + partial[6]) + (partial[3] + partial[7]));
    }
  }
}

MatmulKernels make_table() {
  MatmulKernels kernels{"portable", round32, round256, {}, {}, 16, 2};
  enter<float_tile<4, f32_at>>(kernels, Type::f32);
  enter<float_tile<2, f16_at>>(kernels, Type::f16);
  enter<float_tile<2, bf16_at>>(kernels, Type::bf16);
  enter_plain_products<Portable>(kernels);
  return kernels;
}

}  // namespace

const MatmulKernels& portable_kernels() {
  static const MatmulKernels table = make_table();
  return table;
}

}  // namespace ntx
