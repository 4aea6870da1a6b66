#include <algorithm>

#include "kernels.h"
#include "vector-kernels.h"

namespace ntx {

namespace {

// Heads of one piece of work: long enough that taking it costs little, short enough that one row still spreads.
constexpr int64_t kHeadsPerPiece = 4;

void rotate(float* head, const float* table, int64_t rope_dim, bool neox) {
  const int64_t half = rope_dim / 2, apart = neox ? half : 1, step = neox ? 1 : 2;
  for (int64_t i = 0; i < half; ++i) {
    float *first = head + i * step, *second = first + apart;
    const float cosine = table[2 * i], sine = table[2 * i + 1], x = *first, y = *second;
    *first = x * cosine - y * sine;
    *second = x * sine + y * cosine;
  }
}

}  // namespace

void rope_kv_write(Worker& worker, const RopeKvWrite& op, const Step& step) {
  const VectorKernels& kernels = vector_kernels();
  const int64_t heads_of_row = op.heads + 2 * op.kv_heads;
  int64_t begin, end;
  while (worker.take(step.header->rows * heads_of_row, kHeadsPerPiece, begin, end)) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t r = item / heads_of_row, h = item % heads_of_row;
      const StepRow& row = step.rows[r];
      const float* table = op.table + row.position * op.rope_dim;
      if (h < op.heads) {
        float* q = op.q + (r * op.heads + h) * op.head_dim;
        if (op.q_norm) kernels.rms_norm(q, op.q_norm, q, op.head_dim, op.eps);
        rotate(q, table, op.rope_dim, op.neox);
        continue;
      }
      const bool is_key = h < op.heads + op.kv_heads;
      const int64_t kv_head = h - op.heads - (is_key ? 0 : op.kv_heads);
      const int64_t in = (r * op.kv_heads + kv_head) * op.head_dim;
      const int64_t cell = ((row.slot * op.kv_heads + kv_head) * op.context + row.position) * op.head_dim;
      if (is_key) {
        float k[kMaxHeadDim];
        if (op.k_norm) {
          kernels.rms_norm(op.k + in, op.k_norm, k, op.head_dim, op.eps);
        } else {
          std::copy_n(op.k + in, op.head_dim, k);
        }
        rotate(k, table, op.rope_dim, op.neox);
        kernels.to_f16(k, op.k_cache + cell, op.head_dim);
      } else {
        kernels.to_f16(op.v + in, op.v_cache + cell, op.head_dim);
      }
    }
  }
}

}  // namespace ntx
