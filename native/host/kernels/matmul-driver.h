// What matmul and gated_matmul share: rounding the input, cutting the work into pieces, computing one piece.
#pragma once

#include <atomic>

#include "matmul-kernels.h"

namespace ntx {

/// Hands out an op's pieces. A worker walks a stretch of its own from one end to the other, then helps the others with
/// theirs. Worker::take(), which deals pieces in turn, breaks the stream of each worker at every piece: with two
/// workers that costs a third of the memory's speed (bench/native/matmul-bench.cc, decode).
class Shares {
 public:
  /// `cursors` are kCursorBytes for each worker. Every worker calls reset(), then sync(), then next() until it is
  /// false.
  Shares(uint8_t* cursors, const Worker& worker) : cursors_(cursors), own_(worker.index()), count_(worker.count()) {}
  static constexpr size_t kCursorBytes = 64;

  void reset() const { cursor(own_).store(0, std::memory_order_relaxed); }

  /// The next of `total` pieces; all workers pass the same total.
  bool next(int64_t total, int64_t& index) {
    for (; helped_ < count_; ++helped_) {
      const unsigned whose = (own_ + helped_) % count_;
      const int64_t begin = total * whose / count_, end = total * (whose + 1) / count_;
      index = begin + cursor(whose).fetch_add(1, std::memory_order_relaxed);
      if (index < end) return true;
    }
    return false;
  }

 private:
  std::atomic_ref<int64_t> cursor(unsigned worker) const {
    return std::atomic_ref(*reinterpret_cast<int64_t*>(cursors_ + worker * kCursorBytes));
  }

  uint8_t* cursors_;
  unsigned own_, count_, helped_ = 0;
};

/// The scratch of one op: the workers' cursors, the rounded activations, then one private area per worker.
struct MatmulScratch {
  Shares shares;
  Activations input;
  float *first, *second;  // this worker's results of one piece: [rows of the piece][kMaxTileRows]
  uint8_t* tile;
};
MatmulScratch lay_out_scratch(uint8_t* scratch, const float* in, int64_t cols, int64_t rows, const Worker& worker);

/// Rounds the input to the forms that `weights` need, each worker a part of it, and makes the shares ready; syncs.
void prepare_input(Worker& worker, const MatmulScratch& scratch, const Matrix* const* weights, int count);

/// How the outputs of a matrix are cut: blocks of weight rows times blocks of activation rows.
struct Pieces {
  bool matmat;
  int64_t weight_step, input_step;
  int64_t weight_pieces, input_pieces;
  Pieces(const Matrix& weight, int64_t rows);
  int64_t count() const { return weight_pieces * input_pieces; }
};

/// One block of outputs: weight rows [n0, n0 + n), activation rows [m0, m0 + m).
struct Piece {
  int64_t n0, n, m0, m;
};
Piece piece_at(const Pieces& pieces, int64_t index, int64_t weight_rows, int64_t rows);

/// out[m * kMaxTileRows + n] for the piece's outputs.
void compute_piece(const Matrix& weight, const Pieces& pieces, const Piece& piece, const MatmulScratch& scratch,
                   float* out);

}  // namespace ntx
