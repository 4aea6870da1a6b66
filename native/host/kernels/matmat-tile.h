// Matrix-matrix products of the quantised types. A tile is Isa::kRows weight rows. Panel by panel of columns its
// weights are unpacked, once, to unsigned codes laid out [column / 4][row][4] for instructions that add up four
// products a lane, with a scale and a bias for each row and sub-block: w = scale * code + bias. Then all activation
// rows pass over the panel, a few at a time (Isa::multiply); the results wait in `out` from panel to panel.
//
// Isa supplies kRows, kInputs (activation rows at a time), planes<T>, and multiply<T, inputs>(PanelProduct).
// Internal linkage: see quant-formats.h.
#pragma once

#include "avx2.h"
#include "quant-formats.h"

namespace ntx {
namespace {

constexpr int kPanelCols = 512;
constexpr int kChunkCols = 256;
constexpr int kCacheLine = 64;

/// What a few activation rows and a panel of weights come to.
struct PanelProduct {
  const uint8_t* codes;   // [cols / 4][planes][rows][4]
  const float* scale;     // [cols / sub][rows]
  const float* bias;      // [cols / sub][rows]
  int subs;               // sub-blocks in the panel
  const uint8_t* input;   // int8 codes of the first activation row at the panel's first column
  const float* in_scale;  // its scales; that of sub-block s is in_scale[s >> scale_shift]
  const float* in_sum;    // its scaled sums, one a sub-block
  size_t in_stride;       // bytes to the next activation row, for all three
  int scale_shift;
  float* out;             // [inputs][out_stride], added to
  int64_t out_stride;     // floats
};

/// dst[c][r] = src[r][c] for 8 x 8 units of four bytes.
inline void transpose8(const uint8_t* src, size_t src_stride, uint8_t* dst, size_t dst_stride) {
  __m256i a[8], b[8];
  for (int i = 0; i < 8; ++i) a[i] = load32(src + i * src_stride);
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = _mm256_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm256_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    a[4 * i] = _mm256_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
    a[4 * i + 1] = _mm256_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
    a[4 * i + 2] = _mm256_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
    a[4 * i + 3] = _mm256_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + i * dst_stride),
                        _mm256_permute2x128_si256(a[i], a[i + 4], 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + (i + 4) * dst_stride),
                        _mm256_permute2x128_si256(a[i], a[i + 4], 0x31));
  }
}

template <class Isa, class T>
struct Panel {
  static constexpr int kRows = Isa::kRows, kPlanes = Isa::template kPlanes<T>, kSubs = kPanelCols / T::kSub;
  alignas(64) uint8_t codes[kPanelCols / 4 * kPlanes * kRows * 4];
  alignas(64) float scale[kSubs * kRows], bias[kSubs * kRows];
  alignas(64) uint8_t chunk[kRows * kChunkCols];  // codes of a few columns, row after row

  /// `at` is the panel's first byte in the first row, `next` that of the panel that follows.
  void unpack(const uint8_t* at, const uint8_t* next, const WeightRows& weights, int cols) {
    if (weights.count < kRows) std::memset(chunk, 0, sizeof chunk);
    for (int begin = 0; begin < cols; begin += kChunkCols) {
      const int end = cols < begin + kChunkCols ? cols : begin + kChunkCols;
      for (int n = 0; n < weights.count; ++n) {
        prefetch(next + n * weights.row_bytes, begin, end);
        unpack_row(at + n * weights.row_bytes, n, begin, end);
      }
      for (int k = begin; k < end; k += 32) interleave(k, chunk + (k - begin));
    }
  }

 private:
  /// A few hundred bytes of a row, then the next row: too short for what processors fetch by themselves. While activations pass
  /// over this panel, the next one comes.
  static void prefetch(const uint8_t* row, int begin, int end) {
    const uint8_t* const last = row + end / T::kBlock * T::kBytes;
    for (const uint8_t* line = row + begin / T::kBlock * T::kBytes; line < last; line += kCacheLine) {
      _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
    }
  }

  void unpack_row(const uint8_t* row, int n, int begin, int end) {
    constexpr int subs = T::kBlock / T::kSub;
    float s[subs], min[subs] = {};
    for (int k = begin; k < end; k += T::kBlock) {
      T::unpack(row + k / T::kBlock * T::kBytes, chunk + n * kChunkCols + (k - begin), s, min);
      for (int i = 0; i < subs; ++i) {
        scale[(k / T::kSub + i) * kRows + n] = s[i];
        bias[(k / T::kSub + i) * kRows + n] = -T::kZero * s[i] - min[i];
      }
    }
  }

  /// Columns k .. k + 31 of all rows, from chunk to codes.
  void interleave(int k, const uint8_t* from) {
    uint8_t* to = codes + k / 4 * kPlanes * kRows * 4;
    for (int n = 0; n < kRows; n += 8) transpose8(from + n * kChunkCols, kChunkCols, to + 4 * n, kPlanes * kRows * 4);
    if constexpr (kPlanes == 2) {
      for (int step = 0; step < 8; ++step, to += 2 * kRows * 4) {
        for (int i = 0; i < kRows * 4; ++i) {
          to[kRows * 4 + i] = to[i] & 15;
          to[i] = to[i] >> 4;
        }
      }
    }
  }
};

/// Passes `inputs` activation rows over the panel, then the remainder of them with kernels for fewer.
template <class Isa, class T, int Inputs>
void multiply_all(PanelProduct product, int64_t inputs) {
  for (; inputs >= Inputs; inputs -= Inputs) {
    Isa::template multiply<T, Inputs>(product);
    product.input += Inputs * product.in_stride;
    product.in_scale =
        reinterpret_cast<const float*>(reinterpret_cast<const uint8_t*>(product.in_scale) + Inputs * product.in_stride);
    product.in_sum =
        reinterpret_cast<const float*>(reinterpret_cast<const uint8_t*>(product.in_sum) + Inputs * product.in_stride);
    product.out += Inputs * product.out_stride;
  }
  if constexpr (Inputs > 1) {
    if (inputs > 0) multiply_all<Isa, T, Inputs - 1>(product, inputs);
  }
}

template <class Isa, class T>
void matmat(const Tile& tile) {
  static_assert(sizeof(Panel<Isa, T>) <= kTileScratch);
  Panel<Isa, T>& panel = *reinterpret_cast<Panel<Isa, T>*>(tile.scratch);
  const Activations& input = *tile.input;
  constexpr bool k_quant = T::kBlock == 256;
  const Form32 form32(input.cols);
  const Form256 form256(input.cols);
  const size_t stride = k_quant ? form256.stride : form32.stride;
  const uint8_t* record = (k_quant ? input.form256 : input.form32) + static_cast<size_t>(tile.row) * stride;
  const float* in_scale = reinterpret_cast<const float*>(record + (k_quant ? form256.scale : form32.scale));
  const float* in_sum =
      reinterpret_cast<const float*>(record + (!k_quant ? form32.sum : T::kSub == 16 ? form256.fine_sum : form256.sum));
  constexpr int shift = k_quant ? (T::kSub == 16 ? 4 : 3) : 0;
  for (int64_t m = 0; m < tile.rows; ++m) std::memset(tile.out + m * tile.out_stride, 0, Isa::kRows * sizeof(float));
  for (int64_t begin = 0; begin < input.cols; begin += kPanelCols) {
    const int cols = static_cast<int>(input.cols - begin < kPanelCols ? input.cols - begin : kPanelCols);
    const int64_t sub = begin / T::kSub;
    const uint8_t *const first = tile.weights.data, *const at = first + begin / T::kBlock * T::kBytes;
    const bool is_last = begin + cols == input.cols;
    // Behind a tile's last panel a worker's next tile begins, nearly always.
    const uint8_t* const next =
        is_last ? first + Isa::kRows * tile.weights.row_bytes : at + kPanelCols / T::kBlock * T::kBytes;
    panel.unpack(at, next, tile.weights, cols);
    multiply_all<Isa, T, Isa::kInputs>(
        {panel.codes, panel.scale, panel.bias, cols / T::kSub, record + begin, in_scale + (sub >> shift), in_sum + sub,
         stride, shift, tile.out, tile.out_stride},
        tile.rows);
  }
}

template <class Isa>
void enter_matmats(MatmulKernels& kernels) {
  kernels.tile_rows = Isa::kRows;
  kernels.matmat[static_cast<int>(Type::q4_0)] = matmat<Isa, Q4_0>;
  kernels.matmat[static_cast<int>(Type::q4_1)] = matmat<Isa, Q4_1>;
  kernels.matmat[static_cast<int>(Type::q5_0)] = matmat<Isa, Q5_0>;
  kernels.matmat[static_cast<int>(Type::q5_1)] = matmat<Isa, Q5_1>;
  kernels.matmat[static_cast<int>(Type::q8_0)] = matmat<Isa, Q8_0>;
  kernels.matmat[static_cast<int>(Type::q2_k)] = matmat<Isa, Q2_K>;
  kernels.matmat[static_cast<int>(Type::q3_k)] = matmat<Isa, Q3_K>;
  kernels.matmat[static_cast<int>(Type::q4_k)] = matmat<Isa, Q4_K>;
  kernels.matmat[static_cast<int>(Type::q5_k)] = matmat<Isa, Q5_K>;
  kernels.matmat[static_cast<int>(Type::q6_k)] = matmat<Isa, Q6_K>;
}

}  // namespace
}  // namespace ntx
