// Choosing attention's kernels, and the one for heads that are too wide for the others.
#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "attention-splits.cuh"

namespace ntx::cuda {

namespace {

constexpr uint32_t kThreads = 128;
constexpr uint32_t kWarps = kThreads / 32;
constexpr uint32_t kTile = 64;   // positions that a thread block takes at a time
constexpr uint32_t kVector = 8;  // halves of one load
constexpr uint32_t kMaxSplits = 64;
/// Up to so many positions one thread block is done with them before several could have put their parts together.
constexpr uint32_t kWhole = 256;
/// Rows up to which a row's positions are split: more rows keep the device busy without.
constexpr uint32_t kSplitRows = 16;
/// With more rows than that, so many of them neighbours of one sequence on average, the kernel for prompts is faster.
constexpr size_t kRowsPerRun = 8;

__device__ __forceinline__ void unpack(const uint4& packed, float* values) {
  const auto* pairs = reinterpret_cast<const __half2*>(&packed);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(pairs[i]);
    values[2 * i] = pair.x;
    values[2 * i + 1] = pair.y;
  }
}

/// Of one thread block.
struct Shared {
  float scores[kTile][kMaxHeads];  // then weights
  float most[kMaxHeads], total[kMaxHeads], factor[kMaxHeads];
};

/// Softmax of a tile on top of what came before: scores become weights 2^(score - most). One warp a head.
__device__ void weigh(Shared& s) {
  const uint32_t lane = threadIdx.x % 32;
  for (uint32_t h = threadIdx.x / 32; h < kMaxHeads; h += kWarps) {
    const float first = s.scores[lane][h], second = s.scores[lane + 32][h], before = s.most[h];
    const float most = fmaxf(before, warp_max(fmaxf(first, second)));
    const float w0 = exp2f(first - most), w1 = exp2f(second - most), sum = warp_sum(w0 + w1);
    s.scores[lane][h] = w0;
    s.scores[lane + 32][h] = w1;
    __syncwarp();
    if (lane == 0) {
      const float factor = exp2f(before - most);
      s.factor[h] = factor;
      s.total[h] = s.total[h] * factor + sum;
      s.most[h] = most;
    }
  }
}

/// Scores of a tile: two threads a position, taking turns at its vectors, so that a pair reads neighbouring bytes.
__device__ void score(uint32_t dim, Shared& s, const float* q, const __half* keys, uint32_t tile, uint32_t end) {
  const uint32_t half = threadIdx.x % 2, position = tile + threadIdx.x / 2;
  const auto* key = reinterpret_cast<const uint4*>(keys + static_cast<uint64_t>(min(position, end - 1)) * dim);
  float scores[kMaxHeads] = {};
  for (uint32_t vector = half; vector < dim / kVector; vector += 2) {
    float values[kVector];
    unpack(key[vector], values);
#pragma unroll
    for (uint32_t h = 0; h < kMaxHeads; ++h) {
      const float* own = q + h * dim + vector * kVector;
#pragma unroll
      for (uint32_t i = 0; i < kVector; ++i) scores[h] += own[i] * values[i];
    }
  }
#pragma unroll
  for (uint32_t h = 0; h < kMaxHeads; ++h) {
    const float sum = scores[h] + __shfl_xor_sync(kAllLanes, scores[h], 1);
    if (half == 0) s.scores[threadIdx.x / 2][h] = position < end ? sum : -INFINITY;
  }
}

/// Sums of the threads' positions, added up through `sums` ([head][group of threads][head_dim]).
__device__ void write_sums(const Split& p, const Share& share, const Shared& s, const float (&own)[kMaxHeads][kVector],
                           float* sums) {
  const uint32_t dim = p.a.head_dim, vectors = dim / kVector, groups = kThreads / vectors;
  const uint32_t group = threadIdx.x / vectors, at = threadIdx.x % vectors * kVector;
  if (group < groups) {
#pragma unroll
    for (uint32_t h = 0; h < kMaxHeads; ++h) {
#pragma unroll
      for (uint32_t i = 0; i < kVector; ++i) sums[(h * groups + group) * dim + at + i] = own[h][i];
    }
  }
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < share.heads * dim; i += kThreads) {
    const uint32_t h = i / dim, d = i % dim;
    float sum = 0;
    for (uint32_t g = 0; g < groups; ++g) sum += sums[(h * groups + g) * dim + d];
    put_sum(p, share, h, d, sum, s.most[h], s.total[h]);
  }
}

/// Heads of any width, on the ordinary cores.
template <bool kRotate>
__global__ void __launch_bounds__(kThreads) attend_wide(const __grid_constant__ Split p) {
  extern __shared__ __align__(16) float dynamic[];  // q [kMaxHeads][dim]; later sums [kMaxHeads][group][dim]
  __shared__ Shared s;
  const uint32_t dim = p.a.head_dim;
  let_next_begin();
  const StepRow row = row_of_block(p);
  const Share share = share_of(p, row);
  if (share.part < share.parts) fetch_ahead<kThreads, kRotate>(p, row, share);
  wait_for_previous();
  if (share.part >= share.parts) return;
  load_queries<kThreads, kRotate>(p, row, share, dim, dynamic);
  if (threadIdx.x < kMaxHeads) {
    s.most[threadIdx.x] = -INFINITY;
    s.total[threadIdx.x] = 0;
  }
  __syncthreads();
  const uint32_t vectors = dim / kVector, groups = kThreads / vectors, group = threadIdx.x / vectors;
  const uint32_t at = threadIdx.x % vectors;
  float sums[kMaxHeads][kVector] = {};
  for (uint32_t tile = share.begin; tile < share.end; tile += kTile) {
    score(dim, s, dynamic, p.a.k + share.cache, tile, share.end);
    __syncthreads();
    weigh(s);
    __syncthreads();
#pragma unroll
    for (uint32_t h = 0; h < kMaxHeads; ++h) {
#pragma unroll
      for (uint32_t i = 0; i < kVector; ++i) sums[h][i] *= s.factor[h];
    }
    for (uint32_t i = group; group < groups && i < min(kTile, share.end - tile); i += groups) {
      float value[kVector];
      const __half* from = p.a.v + share.cache + static_cast<uint64_t>(tile + i) * dim;
      unpack(reinterpret_cast<const uint4*>(from)[at], value);
#pragma unroll
      for (uint32_t h = 0; h < kMaxHeads; ++h) {
#pragma unroll
        for (uint32_t j = 0; j < kVector; ++j) sums[h][j] += s.scores[i][h] * value[j];
      }
    }
    __syncthreads();
  }
  write_sums(p, share, s, sums, dynamic);
  finish<kThreads>(p, share);
}

void launch_wide(const Split& split, bool rotate, const Pass& pass, uint32_t blocks) {
  const dim3 grid(split.splits, split.a.kv_heads * blocks, split.a.row_count);
  // No narrower than q: dim <= kThreads * kVector.
  const size_t shared = kMaxHeads * kThreads * kVector * sizeof(float);
  launch(rotate ? attend_wide<true> : attend_wide<false>, pass.traits, pass.stream, grid, kThreads, shared, split);
}

uint32_t blocks_of_group(const Attention& op) {
  return (static_cast<uint32_t>(op.heads / op.kv_heads) + kMaxHeads - 1) / kMaxHeads;
}

/// Splits that a launch has at most: thread blocks beyond one for each multiprocessor, which is what fits, only cost time.
uint32_t useful_splits(uint32_t wanted, uint32_t blocks, uint32_t rows, int multiprocessors) {
  const uint32_t most = static_cast<uint32_t>(multiprocessors) / (blocks * rows);
  return std::clamp(std::bit_floor(std::max(most, 1u)), 1u, wanted);
}

/// Bytes of the tickets, in front of the parts.
size_t ticket_bytes(const Attention& op) {
  const size_t tickets = size_t{kSplitRows} * static_cast<size_t>(op.kv_heads) * blocks_of_group(op);
  return (tickets * sizeof(uint32_t) + 255) / 256 * 256;
}

/// As many splits as the largest number of positions has tiles, up to the next power of two.
uint32_t wanted_splits(uint32_t positions) {
  if (positions <= kWhole) return 1;
  return std::min(kMaxSplits, std::bit_ceil((positions + kSplitTile - 1) / kSplitTile));
}

}  // namespace

AttentionPlan plan_attention(const StepParts& step) {
  uint32_t positions = 1;
  size_t runs = 0;
  for (size_t r = 0; r < step.rows.size(); ++r) {
    positions = std::max(positions, step.rows[r].position + 1);
    if (r == 0 || step.rows[r].slot != step.rows[r - 1].slot) ++runs;
  }
  if (step.rows.size() > kSplitRows) return {runs * kRowsPerRun <= step.rows.size(), false, 1};
  bool alone = true;
  for (size_t r = 1; r < step.rows.size(); ++r) {
    for (size_t other = 0; other < r; ++other) alone &= step.rows[r].slot != step.rows[other].slot;
  }
  return {false, alone, wanted_splits(positions)};
}

void check_attention(const Attention& op) {
  if (op.head_dim % kVector != 0 || op.head_dim > kMaxHeadDim) {
    throw std::invalid_argument("attention: heads of " + std::to_string(op.head_dim) +
                                " values; the cuda backend has kernels for multiples of 8 up to 1024");
  }
}

size_t attention_scratch_bytes(const Attention& op, uint32_t rows) {
  const size_t parts = size_t{kMaxSplits} * std::min(rows, kSplitRows);
  return ticket_bytes(op) + parts * static_cast<size_t>(op.heads * (op.head_dim + 2)) * sizeof(float);
}

void launch_attention(const Attention& op, const RopeKvWrite* rope, const Pass& pass) {
  if (pass.rows == 0) return;
  const auto narrow = [](int64_t value) { return static_cast<uint32_t>(value); };
  constexpr float kLog2e = 1.4426950408889634f;
  const AttentionArguments arguments{op.q, reinterpret_cast<const __half*>(op.k_cache),
                                     reinterpret_cast<const __half*>(op.v_cache), op.out, pass.step_rows, pass.rows,
                                     narrow(op.heads), narrow(op.kv_heads), narrow(op.head_dim), narrow(op.context),
                                     narrow(op.window), op.scale * kLog2e};
  const bool is_narrow = arguments.head_dim <= kMaxTileDim, rotate = rope != nullptr;
  if (pass.attention.tiles && is_narrow) return launch_attention_tiles(arguments, pass);
  const uint32_t blocks = blocks_of_group(op);
  const uint32_t splits =
      useful_splits(pass.attention.splits, arguments.kv_heads * blocks, pass.rows, pass.traits.multiprocessors);
  auto* parts = reinterpret_cast<float*>(op.scratch + ticket_bytes(op));
  const Split split{arguments, rotate ? rope_arguments(*rope, pass) : RopeArguments{}, splits, parts,
                    reinterpret_cast<uint32_t*>(op.scratch)};
  if (is_narrow) return launch_attention_rows(split, rotate, pass);
  launch_wide(split, rotate, pass, blocks);
}

}  // namespace ntx::cuda
