// The kernels of the ops that are not products (product.h has those). Each function only launches: it is called while a
// stream is captured.
#pragma once

#include <cuda_runtime.h>

#include <span>

#include "../../recorded-op.h"
#include "../../step-limits.h"
#include "product.h"

namespace ntx::cuda {

/// What attention's launches depend on beside the number of rows. A graph is captured for each.
struct AttentionPlan {
  bool tiles;       // rows are mostly neighbours of one sequence: the kernel for prompts
  bool alone;       // no two rows are of one sequence: attention can do what rope-kv-write does, row by row
  uint32_t splits;  // at most so many parts of a row's positions run side by side; a power of two
  bool operator==(const AttentionPlan&) const = default;
};

AttentionPlan plan_attention(const StepParts& step);

/// One pass as kernels are launched for it. Counts are known then; what else a step says is read from device memory.
struct Pass {
  cudaStream_t stream;
  const DeviceTraits& traits;
  uint32_t rows, outputs;
  AttentionPlan attention;
  const StepRow* step_rows;        // device, [rows]
  const StepOutput* step_outputs;  // device, [outputs]
};

/// The table may lie in pinned host memory.
void launch_embed(const Embed& op, const Pass& pass);
void launch_rms_norm(const RmsNorm& op, const Pass& pass);
void launch_rope_kv_write(const RopeKvWrite& op, const Pass& pass);

/// Throws std::invalid_argument for heads that are not supported.
void check_attention(const Attention& op);
/// Of a list whose passes have at most `rows` rows; the memory must be zero before the first pass.
size_t attention_scratch_bytes(const Attention& op, uint32_t rows);
/// `rope`: what comes before and is to be done as well, where the pass's rows are alone, or null. q stays as it is then.
void launch_attention(const Attention& op, const RopeKvWrite* rope, const Pass& pass);

/// Throws std::invalid_argument for a k that is not supported.
void check_top_k(const TopK& op);
size_t top_k_scratch_bytes(const TopK& op, uint32_t outputs);
void launch_top_k(const TopK& op, const Pass& pass);

}  // namespace ntx::cuda
