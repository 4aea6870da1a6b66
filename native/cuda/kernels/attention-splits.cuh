// What the kernels that split a row's positions over thread blocks share: the last block to finish puts the parts together.
#pragma once

#include "attention.h"
#include "launch.cuh"
#include "rope.cuh"

namespace ntx::cuda {

/// Query heads of one thread block.
constexpr uint32_t kMaxHeads = 8;
/// Parts are whole multiples of so many positions.
constexpr uint32_t kSplitTile = 128;

struct Split {
  AttentionArguments a;
  RopeArguments rope;  // of the kernels that rotate
  uint32_t splits;
  float* partials;    // [row][head][split][head_dim + 2]: the sums, then the largest score and the total weight
  uint32_t* tickets;  // [row][block of heads]: parts that are done
};

/// What a thread block does: some heads of one kv head, in part `part` of `parts` of the row's positions.
struct Share {
  uint32_t row, kv_head, head, heads;
  uint32_t begin, end;  // positions
  uint32_t part, parts;
  uint64_t cache;  // of the first position
};

/// The share of this thread block, of a grid (splits, kv heads x blocks of heads, rows): nothing where part >= parts.
__device__ inline Share share_of(const Split& p, const StepRow& row) {
  const AttentionArguments& a = p.a;
  const uint32_t group = a.heads / a.kv_heads, blocks = (group + kMaxHeads - 1) / kMaxHeads;
  const uint32_t kv_head = blockIdx.y / blocks, in_group = blockIdx.y % blocks * kMaxHeads;
  const Visible visible = visible_of(row, a.window);
  const uint32_t tiles = (visible.end - visible.begin + kSplitTile - 1) / kSplitTile;
  const uint32_t tiles_of_part = (tiles + p.splits - 1) / p.splits, positions = tiles_of_part * kSplitTile;
  const uint32_t begin = min(visible.end, visible.begin + blockIdx.x * positions);
  return {blockIdx.z,
          kv_head,
          kv_head * group + in_group,
          min(kMaxHeads, group - in_group),
          begin,
          min(visible.end, begin + positions),
          blockIdx.x,
          (tiles + tiles_of_part - 1) / tiles_of_part,
          (static_cast<uint64_t>(row.slot) * a.kv_heads + kv_head) * a.context * a.head_dim};
}

/// The row of this thread block, which an upload has left before the pass began: to be read before wait_for_previous().
__device__ inline StepRow row_of_block(const Split& p) {
  const uint4 words = __ldcg(reinterpret_cast<const uint4*>(p.a.rows + blockIdx.z));
  return {words.x, words.y, words.z, words.w};
}

/// Fetches what a thread block will read of the caches and of the rope table into L2, before the kernel in front has ended: their
/// latency would be a token's.
template <uint32_t kThreads, bool kRotate>
__device__ void fetch_ahead(const Split& p, const StepRow& row, const Share& share) {
  constexpr uint32_t kLine = 128;
  const auto fetch = [](const void* from, uint64_t bytes) {
    for (uint64_t at = threadIdx.x * kLine; at < bytes; at += kThreads * kLine) {
      asm volatile("prefetch.global.L2 [%0];" ::"l"(static_cast<const uint8_t*>(from) + at));
    }
  };
  const uint64_t bytes = uint64_t{share.end - share.begin} * p.a.head_dim * sizeof(__half);
  const uint64_t first = share.cache + uint64_t{share.begin} * p.a.head_dim;
  fetch(p.a.k + first, bytes);
  fetch(p.a.v + first, bytes);
  if (kRotate) fetch(p.rope.table + uint64_t{row.position} * p.rope.rope_dim, p.rope.rope_dim * sizeof(float));
}

/// The queries into shared memory, scaled; with kRotate normed and rotated, and the part that reads the row's own position
/// writes its key and value first. Head h is at to + h * stride; heads that the block does not have are zero.
template <uint32_t kThreads, bool kRotate>
__device__ void load_queries(const Split& p, const StepRow& row, const Share& share, uint32_t stride, float* to) {
  constexpr uint32_t kWarps = kThreads / 32;
  const uint32_t dim = p.a.head_dim, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const float* q = p.a.q + (static_cast<uint64_t>(share.row) * p.a.heads + share.head) * dim;
  const float* turns = kRotate ? p.rope.table + static_cast<uint64_t>(row.position) * p.rope.rope_dim : nullptr;
  if (kRotate && share.part == share.parts - 1) {
    if (warp == kWarps - 1) write_key(p.rope, row, share.row, share.kv_head, lane);
    if (warp == kWarps - 2) write_value(p.rope, row, share.row, share.kv_head, lane);
  }
  for (uint32_t h = warp; h < kMaxHeads; h += kWarps) {
    float* own = to + h * stride;
    if (h >= share.heads) {
      for (uint32_t i = lane; i < stride; i += 32) own[i] = 0;
    } else if (kRotate) {
      norm_and_rotate(q + h * dim, p.rope.q_norm, turns, p.rope, lane,
                      [&](uint32_t i, float value) { own[i] = value * p.a.scale; });
    } else {
      for (uint32_t i = lane; i < dim; i += 32) own[i] = q[h * dim + i] * p.a.scale;
    }
    for (uint32_t i = dim + lane; i < stride; i += 32) own[i] = 0;
  }
}

/// A finished value: to the result, or to the part. `most` and `total` are the head's.
__device__ inline void put_sum(const Split& p, const Share& share, uint32_t h, uint32_t d, float sum, float most,
                               float total) {
  const uint64_t to = static_cast<uint64_t>(share.row) * p.a.heads + share.head + h;
  const uint32_t dim = p.a.head_dim;
  if (share.parts == 1) {
    p.a.out[to * dim + d] = sum / total;
    return;
  }
  float* part = p.partials + (to * p.splits + share.part) * (dim + 2);
  part[d] = sum;
  if (d < 2) part[dim + d] = d == 0 ? most : total;
}

/// The parts of a share's heads, out of other thread blocks' memory: past the L1 cache.
template <uint32_t kThreads>
__device__ void combine(const Split& p, const Share& share) {
  const uint32_t dim = p.a.head_dim, stride = dim + 2;
  for (uint32_t i = threadIdx.x; i < share.heads * dim; i += kThreads) {
    const uint64_t at = static_cast<uint64_t>(share.row) * p.a.heads + share.head + i / dim;
    const float* own = p.partials + at * p.splits * stride;
    float most = -INFINITY, sum = 0, total = 0;
#pragma unroll 4
    for (uint32_t s = 0; s < share.parts; ++s) most = fmaxf(most, __ldcg(own + s * stride + dim));
#pragma unroll 4
    for (uint32_t s = 0; s < share.parts; ++s) {
      const float factor = exp2f(__ldcg(own + s * stride + dim) - most);
      sum += factor * __ldcg(own + s * stride + i % dim);
      total += factor * __ldcg(own + s * stride + dim + 1);
    }
    p.a.out[at * dim + i % dim] = sum / total;
  }
}

/// Combines the parts when all of them are done, which the last thread block finds; the ticket is 0 again then.
template <uint32_t kThreads>
__device__ void finish(const Split& p, const Share& share) {
  if (share.parts == 1) return;
  __shared__ bool is_last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    uint32_t* ticket = p.tickets + share.row * gridDim.y + blockIdx.y;
    is_last = atomicAdd(ticket, 1) == share.parts - 1;
    if (is_last) *ticket = 0;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  combine<kThreads>(p, share);
}

/// Heads of up to kMaxTileDim values, on the tensor cores (attention-rows.cu).
void launch_attention_rows(const Split& split, bool rotate, const Pass& pass);

}  // namespace ntx::cuda
