// The products of the quantised types as written down: unpack a block, meet every activation row with it. For CPUs
// where there is no more to gain. Isa supplies dot<Count, Zero>(codes, activations) = sum of (code - Zero) *
// activation. Internal linkage: see quant-formats.h.
#pragma once

#include "matmul-kernels.h"
#include "quant-formats.h"

namespace ntx {
namespace {

/// Weight rows are unpacked block by block, each block meeting all activation rows before the next.
template <class Isa, class T>
void plain_tile(const Tile& tile) {
  constexpr int subs = T::kBlock / T::kSub;
  const Activations& input = *tile.input;
  const Form32 form32(input.cols);
  const Form256 form256(input.cols);
  constexpr bool k_quant = T::kBlock == 256;
  const uint8_t* records = k_quant ? input.form256 : input.form32;
  const size_t stride = k_quant ? form256.stride : form32.stride;
  const size_t scale_at = k_quant ? form256.scale : form32.scale;
  const size_t sum_at = !k_quant ? form32.sum : T::kSub == 16 ? form256.fine_sum : form256.sum;
  for (int n = 0; n < tile.weights.count; ++n) {
    for (int64_t m = 0; m < tile.rows; ++m) tile.out[m * tile.out_stride + n] = 0;
    const uint8_t* weights = tile.weights.data + n * tile.weights.row_bytes;
    for (int64_t block = 0; block < input.cols / T::kBlock; ++block, weights += T::kBytes) {
      uint8_t codes[T::kBlock];
      float scale[subs], min[subs] = {};
      T::unpack(weights, codes, scale, min);
      for (int64_t m = 0; m < tile.rows; ++m) {
        const uint8_t* record = records + static_cast<size_t>(tile.row + m) * stride;
        const int8_t* a = reinterpret_cast<const int8_t*>(record) + block * T::kBlock;
        const float a_scale = reinterpret_cast<const float*>(record + scale_at)[block];
        const float* a_sum = reinterpret_cast<const float*>(record + sum_at) + block * subs;
        float total = 0;
        for (int s = 0; s < subs; ++s) {
          const int dot = Isa::template dot<T::kSub, T::kZero>(codes + s * T::kSub, a + s * T::kSub);
          total += scale[s] * a_scale * static_cast<float>(dot);
          if (T::kHasMin) total -= min[s] * a_sum[s];
        }
        tile.out[m * tile.out_stride + n] += total;
      }
    }
  }
}

template <Matmat Kernel>
void single_row(const WeightRows& weights, const Activations& input, int64_t row, float* out) {
  Kernel({weights, &input, row, 1, out, weights.count, nullptr});
}

template <Matmat Kernel>
void enter(MatmulKernels& kernels, Type type) {
  kernels.matmat[static_cast<int>(type)] = Kernel;
  kernels.matvec[static_cast<int>(type)] = single_row<Kernel>;
}

template <class Isa>
void enter_plain_products(MatmulKernels& kernels) {
  enter<plain_tile<Isa, Q4_0>>(kernels, Type::q4_0);
  enter<plain_tile<Isa, Q4_1>>(kernels, Type::q4_1);
  enter<plain_tile<Isa, Q5_0>>(kernels, Type::q5_0);
  enter<plain_tile<Isa, Q5_1>>(kernels, Type::q5_1);
  enter<plain_tile<Isa, Q8_0>>(kernels, Type::q8_0);
  enter<plain_tile<Isa, Q2_K>>(kernels, Type::q2_k);
  enter<plain_tile<Isa, Q3_K>>(kernels, Type::q3_k);
  enter<plain_tile<Isa, Q4_K>>(kernels, Type::q4_k);
  enter<plain_tile<Isa, Q5_K>>(kernels, Type::q5_k);
  enter<plain_tile<Isa, Q6_K>>(kernels, Type::q6_k);
}

}  // namespace
}  // namespace ntx
