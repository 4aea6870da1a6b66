#include <cmath>

#include "matmul-driver.h"

namespace ntx {

void gated_matmul(Worker& worker, const GatedMatmul& op, const Step& step) {
  const int64_t rows = step.header->rows, width = op.gate.rows;
  if (rows == 0) return;
  MatmulScratch scratch = lay_out_scratch(op.scratch, op.in, op.gate.cols, rows, worker);
  const Matrix* weights[2] = {&op.gate, &op.up};
  prepare_input(worker, scratch, weights, 2);

  // gate and up may differ in type, so in bytes a row: both are cut as gate is.
  const Pieces pieces(op.gate, rows);
  for (int64_t index; scratch.shares.next(pieces.count(), index);) {
    const Piece piece = piece_at(pieces, index, width, rows);
    compute_piece(op.gate, pieces, piece, scratch, scratch.first);
    compute_piece(op.up, pieces, piece, scratch, scratch.second);
    for (int64_t m = 0; m < piece.m; ++m) {
      const float *gate = scratch.first + m * kMaxTileRows, *up = scratch.second + m * kMaxTileRows;
      float* out = op.out + (piece.m0 + m) * width + piece.n0;
      for (int64_t n = 0; n < piece.n; ++n) out[n] = gate[n] / (1 + std::exp(-gate[n])) * up[n];
    }
  }
}

}  // namespace ntx
