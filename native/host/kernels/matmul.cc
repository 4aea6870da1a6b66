#include "matmul-driver.h"

#include <algorithm>

namespace ntx {

namespace {

// A matvec piece is about this many bytes of weights: long enough for the prefetchers to run at speed, short enough
// that the workers finish together.
constexpr int64_t kMatvecPieceBytes = 64 * 1024;

size_t slot(Type type) { return static_cast<size_t>(type); }

int64_t row_bytes(const Matrix& weight) {
  const BlockSize block = block_size(weight.type);
  return weight.cols / block.weights * block.bytes;
}

size_t form32_bytes(int64_t cols, int64_t rows) { return Form32(cols).stride * static_cast<size_t>(rows); }

size_t form256_bytes(int64_t cols, int64_t rows) {
  return cols % 256 == 0 ? Form256(cols).stride * static_cast<size_t>(rows) : 0;
}

size_t result_bytes(int64_t rows) {
  return static_cast<size_t>(std::min(rows, kTileColumns) * kMaxTileRows) * sizeof(float);
}

}  // namespace

Form activation_form(Type type) {
  const uint32_t weights = block_size(type).weights;
  return weights == 32 ? Form::per32 : weights == 256 ? Form::per256 : Form::none;
}

size_t matmul_scratch_bytes(int64_t cols, int64_t rows, unsigned workers) {
  return workers * Shares::kCursorBytes + form32_bytes(cols, rows) + form256_bytes(cols, rows) +
         workers * (2 * result_bytes(rows) + kTileScratch);
}

MatmulScratch lay_out_scratch(uint8_t* scratch, const float* in, int64_t cols, int64_t rows, const Worker& worker) {
  uint8_t* form32 = scratch + worker.count() * Shares::kCursorBytes;
  uint8_t* form256 = form32 + form32_bytes(cols, rows);
  uint8_t* own = form256 + form256_bytes(cols, rows) + worker.index() * (2 * result_bytes(rows) + kTileScratch);
  uint8_t* second = own + result_bytes(rows);
  return {Shares(scratch, worker),
          {in, rows, cols, form32, form256},
          reinterpret_cast<float*>(own),
          reinterpret_cast<float*>(second),
          second + result_bytes(rows)};
}

namespace {

/// This worker's part of rounding: whole blocks of 256, counted through all rows; a row's last block may be shorter.
void round_part(const Worker& worker, const Activations& input, bool to32, bool to256) {
  const MatmulKernels& kernels = matmul_kernels();
  const int64_t cols = input.cols, row_blocks = (cols + 255) / 256, blocks = row_blocks * input.rows;
  const int64_t last = blocks * (worker.index() + 1) / worker.count();
  for (int64_t block = blocks * worker.index() / worker.count(); block < last;) {
    const int64_t row = block / row_blocks, in_row = block % row_blocks;
    const int64_t run = std::min(last - block, row_blocks - in_row);
    const int64_t begin = 256 * in_row, end = std::min(cols, begin + 256 * run);
    const float* values = input.values + row * cols;
    if (to32) kernels.round32(values, cols, begin, end, input.form32 + static_cast<size_t>(row) * Form32(cols).stride);
    if (to256)
      kernels.round256(values, cols, begin, end, input.form256 + static_cast<size_t>(row) * Form256(cols).stride);
    block += run;
  }
}

}  // namespace

void prepare_input(Worker& worker, const MatmulScratch& scratch, const Matrix* const* weights, int count) {
  bool to32 = false, to256 = false;
  for (int i = 0; i < count; ++i) {
    const Form form = activation_form(weights[i]->type);
    to32 |= form == Form::per32;
    to256 |= form == Form::per256;
  }
  if (to32 || to256) round_part(worker, scratch.input, to32, to256);
  scratch.shares.reset();
  worker.sync();
}

Pieces::Pieces(const Matrix& weight, int64_t rows) {
  const MatmulKernels& kernels = matmul_kernels();
  matmat = rows >= kernels.matmat_from;
  // Multiples of eight rows, so that kernels which take several rows at once have a remainder in the last piece only.
  const int64_t fitting = kMatvecPieceBytes / std::max<int64_t>(row_bytes(weight), 1) / 8 * 8;
  weight_step = matmat ? kernels.tile_rows : std::clamp<int64_t>(fitting, 8, kMaxTileRows);
  input_step = std::min(rows, kTileColumns);
  weight_pieces = (weight.rows + weight_step - 1) / weight_step;
  input_pieces = rows ? (rows + input_step - 1) / input_step : 0;
}

Piece piece_at(const Pieces& pieces, int64_t index, int64_t weight_rows, int64_t rows) {
  const int64_t n0 = index % pieces.weight_pieces * pieces.weight_step;
  const int64_t m0 = index / pieces.weight_pieces * pieces.input_step;
  return {n0, std::min(pieces.weight_step, weight_rows - n0), m0, std::min(pieces.input_step, rows - m0)};
}

void compute_piece(const Matrix& weight, const Pieces& pieces, const Piece& piece, const MatmulScratch& scratch,
                   float* out) {
  const MatmulKernels& kernels = matmul_kernels();
  const size_t bytes = static_cast<size_t>(row_bytes(weight));
  const WeightRows rows{weight.data + static_cast<size_t>(piece.n0) * bytes, bytes, static_cast<int>(piece.n)};
  if (pieces.matmat) {
    kernels.matmat[slot(weight.type)]({rows, &scratch.input, piece.m0, piece.m, out, kMaxTileRows, scratch.tile});
    return;
  }
  for (int64_t m = 0; m < piece.m; ++m) {
    kernels.matvec[slot(weight.type)](rows, scratch.input, piece.m0 + m, out + m * kMaxTileRows);
  }
}

namespace {

void store_product(const Product& product, const Piece& piece, bool accumulate, const float* results) {
  for (int64_t m = 0; m < piece.m; ++m, results += kMaxTileRows) {
    float* out = product.out + (piece.m0 + m) * product.weight.rows + piece.n0;
    for (int64_t n = 0; n < piece.n; ++n) {
      float value = results[n];
      if (product.bias) value += product.bias[piece.n0 + n];
      out[n] = accumulate ? out[n] + value : value;
    }
  }
}

}  // namespace

void matmul(Worker& worker, const Matmul& op, const Step& step) {
  const int64_t rows = op.outputs ? step.header->outputs : step.header->rows;
  if (rows == 0) return;
  MatmulScratch scratch = lay_out_scratch(op.scratch, op.in, op.part[0].weight.cols, rows, worker);
  const Matrix* weights[3] = {&op.part[0].weight, &op.part[1].weight, &op.part[2].weight};
  prepare_input(worker, scratch, weights, op.parts);

  int64_t total = 0;
  for (int i = 0; i < op.parts; ++i) total += Pieces(op.part[i].weight, rows).count();
  for (int64_t index; scratch.shares.next(total, index);) {
    for (int i = 0; i < op.parts; ++i) {
      const Product& product = op.part[i];
      const Pieces pieces(product.weight, rows);
      if (index < pieces.count()) {
        const Piece piece = piece_at(pieces, index, product.weight.rows, rows);
        compute_piece(product.weight, pieces, piece, scratch, scratch.first);
        store_product(product, piece, op.accumulate, scratch.first);
        break;
      }
      index -= pieces.count();
    }
  }
}

}  // namespace ntx
