// The kernels that workers run, one for each op of native/recorded-op.h. Every kernel is called by all workers of a pass with
// the same arguments, divides its work among them, and returns without a sync() at its end (the list's walker does that). A
// result depends on the arguments alone, never on the number of workers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../../recorded-op.h"
#include "../worker.h"

namespace ntx {

/// A pass's step buffer (native/ops.h).
struct Step {
  const StepHeader* header;
  const StepRow* rows;
  const StepOutput* outputs;
};

/// Decodes `cols` weights of one row of any type to f32.
void decode_row(Type type, const uint8_t* row, int64_t cols, float* out);

void embed(Worker& worker, const Embed& op, const Step& step);
void rms_norm(Worker& worker, const RmsNorm& op, const Step& step);

/// Bytes of scratch that matmul and gated_matmul need for `rows` activation rows of `cols` values.
size_t matmul_scratch_bytes(int64_t cols, int64_t rows, unsigned workers);
void matmul(Worker& worker, const Matmul& op, const Step& step);
void gated_matmul(Worker& worker, const GatedMatmul& op, const Step& step);

void rope_kv_write(Worker& worker, const RopeKvWrite& op, const Step& step);

size_t attention_scratch_bytes(int64_t heads, int64_t head_dim, int64_t context, int64_t rows, unsigned workers);
void attention(Worker& worker, const Attention& op, const Step& step);

size_t top_k_scratch_bytes(int64_t width, int64_t k, unsigned workers);
void top_k(Worker& worker, const TopK& op, const Step& step);

}  // namespace ntx
