// One table of product kernels per instruction set. matmul.cc divides an op into pieces and calls them; each output is
// computed by one call, in an order that depends on the shape of the op alone.
#pragma once

#include "activations.h"
#include "kernels.h"

namespace ntx {

/// Which int8 form of the activations a type's kernels read.
enum class Form { none, per32, per256 };
Form activation_form(Type type);

/// `count` rows of weights, `row_bytes` apart.
struct WeightRows {
  const uint8_t* data;
  size_t row_bytes;
  int count;
};

/// out[n] = weights[n] . activations[row], for n < weights.count
using Matvec = void (*)(const WeightRows& weights, const Activations& input, int64_t row, float* out);

/// out[m * out_stride + n] = weights[n] . activations[row + m], for n < weights.count <= tile_rows and m < rows <=
/// kTileColumns; `scratch` is kTileScratch bytes, 64-byte aligned.
struct Tile {
  WeightRows weights;
  const Activations* input;
  int64_t row, rows;
  float* out;
  int64_t out_stride;
  uint8_t* scratch;
};
using Matmat = void (*)(const Tile& tile);

constexpr int kTypeSlots = 31;  // ggml's type numbers run to 30
constexpr int64_t kTileColumns = 512;
constexpr int64_t kMaxTileRows = 64;
constexpr size_t kTileScratch = 160 * 1024;

struct MatmulKernels {
  const char* name;
  /// Rounds values [begin, end) of a row to a form's record; begin and end are multiples of the form's block.
  void (*round32)(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record);
  void (*round256)(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record);
  Matvec matvec[kTypeSlots];
  Matmat matmat[kTypeSlots];
  int tile_rows;        // weight rows of one matmat call
  int64_t matmat_from;  // activation rows from which matmat beats matvec row by row
};

const MatmulKernels& portable_kernels();
/// Null where the CPU cannot run them.
const MatmulKernels* avx2_kernels();
const MatmulKernels* avx512_kernels();
const MatmulKernels* neon_kernels();

/// The table in use: the best that the CPU can run, or the one named by the environment variable NTX_CPU.
const MatmulKernels& matmul_kernels();

}  // namespace ntx
