// Matrix products with weights in F32, F16 and BF16: the activations stay f32, nothing is rounded but the sums. Isa
// supplies
//   Vector, kLanes, kInputs                    a register of floats, and how many activation rows to keep at a time
//   zero(), load(f32*), half(p), brain(p)      registers from kLanes values of each type
//   multiply_add(a, b, c), sum(v)
//   sum4(v, out)                               adds the sums of four registers to four floats
// Internal linkage: see quant-formats.h.
#pragma once

#include "matmul-kernels.h"
#include "quant-formats.h"

namespace ntx {
namespace {

constexpr int kFloatPanel = 512;

template <class Isa>
struct F32 {
  static constexpr int kBytes = 4;
  static typename Isa::Vector load(const uint8_t* p) { return Isa::load(reinterpret_cast<const float*>(p)); }
  static float one(const uint8_t* p) { return bits_to_f32(load_u32(p)); }
};

template <class Isa>
struct F16 {
  static constexpr int kBytes = 2;
  static typename Isa::Vector load(const uint8_t* p) { return Isa::half(p); }
  static float one(const uint8_t* p) { return load_f16(p); }
};

template <class Isa>
struct Bf16 {
  static constexpr int kBytes = 2;
  static typename Isa::Vector load(const uint8_t* p) { return Isa::brain(p); }
  static float one(const uint8_t* p) { return bf16_to_f32(load_u16(p)); }
};

template <class Isa, class T>
float float_row(const uint8_t* p, const float* a, int64_t cols) {
  constexpr int lanes = Isa::kLanes, step = 4 * lanes;
  typename Isa::Vector sum[4] = {Isa::zero(), Isa::zero(), Isa::zero(), Isa::zero()};
  int64_t k = 0;
  for (; k + step <= cols; k += step) {
    for (int line = 0; line < step * T::kBytes; line += 64) Isa::prefetch(p + k * T::kBytes + line);
    for (int i = 0; i < 4; ++i) {
      sum[i] = Isa::multiply_add(T::load(p + (k + i * lanes) * T::kBytes), Isa::load(a + k + i * lanes), sum[i]);
    }
  }
  for (; k + lanes <= cols; k += lanes)
    sum[0] = Isa::multiply_add(T::load(p + k * T::kBytes), Isa::load(a + k), sum[0]);
  float total = Isa::sum(Isa::add(Isa::add(sum[0], sum[1]), Isa::add(sum[2], sum[3])));
  for (; k < cols; ++k) total += T::one(p + k * T::kBytes) * a[k];
  return total;
}

template <class Isa, class T>
void float_matvec(const WeightRows& weights, const Activations& input, int64_t row, float* out) {
  for (int n = 0; n < weights.count; ++n) {
    out[n] = float_row<Isa, T>(weights.data + n * weights.row_bytes, input.values + row * input.cols, input.cols);
  }
}

/// Adds the products of `Inputs` activation rows and four rows of the panel over `cols` columns, a multiple of kLanes.
template <class Isa, int Inputs>
void float_block(const float* panel, const float* a, int64_t a_stride, int cols, float* out, int64_t out_stride) {
  typename Isa::Vector sum[Inputs][4];
  for (int m = 0; m < Inputs; ++m) {
    for (int n = 0; n < 4; ++n) sum[m][n] = Isa::zero();
  }
  for (int k = 0; k < cols; k += Isa::kLanes) {
    typename Isa::Vector w[4];
    for (int n = 0; n < 4; ++n) w[n] = Isa::load(panel + n * kFloatPanel + k);
    for (int m = 0; m < Inputs; ++m) {
      const typename Isa::Vector x = Isa::load(a + m * a_stride + k);
      for (int n = 0; n < 4; ++n) sum[m][n] = Isa::multiply_add(w[n], x, sum[m][n]);
    }
  }
  for (int m = 0; m < Inputs; ++m) Isa::sum4(sum[m], out + m * out_stride);
}

/// All activation rows against one panel; `count` weight rows, rounded up to four.
template <class Isa, int Inputs>
void float_blocks(const Tile& tile, const float* panel, int64_t begin, int cols, int64_t m) {
  const int64_t stride = tile.input->cols;
  for (; m + Inputs <= tile.rows; m += Inputs) {
    for (int n = 0; n < tile.weights.count; n += 4) {
      float_block<Isa, Inputs>(panel + n * kFloatPanel, tile.input->values + (tile.row + m) * stride + begin, stride,
                               cols, tile.out + m * tile.out_stride + n, tile.out_stride);
    }
  }
  if constexpr (Inputs > 1) {
    if (m < tile.rows) float_blocks<Isa, Inputs - 1>(tile, panel, begin, cols, m);
  }
}

template <class Isa, class T>
void float_matmat(const Tile& tile) {
  static_assert(kMaxTileRows * kFloatPanel * sizeof(float) <= kTileScratch);
  const int64_t cols = tile.input->cols, whole = cols / Isa::kLanes * Isa::kLanes;
  float* panel = reinterpret_cast<float*>(tile.scratch);
  const int padded = (tile.weights.count + 3) / 4 * 4;
  for (int64_t m = 0; m < tile.rows; ++m) {
    for (int n = 0; n < padded; ++n) tile.out[m * tile.out_stride + n] = 0;
  }
  for (int64_t begin = 0; begin < whole; begin += kFloatPanel) {
    const int width = static_cast<int>(whole - begin < kFloatPanel ? whole - begin : kFloatPanel);
    for (int n = 0; n < padded; ++n) {
      // Rows that pad the last four repeat the last one: their results are not looked at.
      const int from = n < tile.weights.count ? n : tile.weights.count - 1;
      const uint8_t* p = tile.weights.data + from * tile.weights.row_bytes + begin * T::kBytes;
      for (int k = 0; k < width; k += Isa::kLanes) Isa::store(panel + n * kFloatPanel + k, T::load(p + k * T::kBytes));
    }
    float_blocks<Isa, Isa::kInputs>(tile, panel, begin, width, 0);
  }
  for (int64_t m = 0; whole < cols && m < tile.rows; ++m) {
    const float* a = tile.input->values + (tile.row + m) * cols;
    for (int n = 0; n < tile.weights.count; ++n) {
      const uint8_t* p = tile.weights.data + n * tile.weights.row_bytes;
      for (int64_t k = whole; k < cols; ++k) tile.out[m * tile.out_stride + n] += T::one(p + k * T::kBytes) * a[k];
    }
  }
}

template <class Isa>
void enter_float_products(MatmulKernels& kernels) {
  kernels.matvec[static_cast<int>(Type::f32)] = float_matvec<Isa, F32<Isa>>;
  kernels.matvec[static_cast<int>(Type::f16)] = float_matvec<Isa, F16<Isa>>;
  kernels.matvec[static_cast<int>(Type::bf16)] = float_matvec<Isa, Bf16<Isa>>;
  kernels.matmat[static_cast<int>(Type::f32)] = float_matmat<Isa, F32<Isa>>;
  kernels.matmat[static_cast<int>(Type::f16)] = float_matmat<Isa, F16<Isa>>;
  kernels.matmat[static_cast<int>(Type::bf16)] = float_matmat<Isa, Bf16<Isa>>;
}

}  // namespace
}  // namespace ntx
