// What attention.cu (decoding) and attention-tiles.cu (prompts) share.
#pragma once

#include <cuda_fp16.h>

#include "kernels.h"

namespace ntx::cuda {

struct AttentionArguments {
  const float* q;              // [row][head][head_dim]
  const __half *k, *v;         // [slot][kv head][context][head_dim]
  float* out;                  // as q
  const StepRow* rows;
  uint32_t row_count, heads, kv_heads, head_dim, context, window;
  float scale;                 // of scores in powers of two: the op's times log2(e)
};

/// Positions that a row sees: [begin, end).
struct Visible { uint32_t begin, end; };
__device__ __forceinline__ Visible visible_of(const StepRow& row, uint32_t window) {
  const uint32_t end = row.position + 1;
  return {window > 0 && end > window ? end - window : 0, end};
}

/// Values of the widest head that the kernel for prompts takes.
constexpr uint32_t kMaxTileDim = 128;
void launch_attention_tiles(const AttentionArguments& arguments, const Pass& pass);

}  // namespace ntx::cuda
