// Attention of prompts on the tensor cores: a thread block takes 64 queries (neighbouring rows with all heads that share a
// kv head) and walks over tiles of their positions. Keys and values are halves as they are; queries and weights are split
// into two halves, high and low, whose products add up to what f32 would give.
#include <algorithm>
#include <bit>

#include "attention.h"
#include "launch.cuh"
#include "mma.cuh"

namespace ntx::cuda {

namespace {

constexpr uint32_t kWarps = 4;
constexpr uint32_t kThreads = 32 * kWarps;
constexpr uint32_t kQueries = 16 * kWarps;  // of a thread block; a warp has 16, the rows of an m16n8k16
constexpr uint32_t kTile = 32;              // positions at a time
constexpr uint32_t kStages = 2;             // tiles in shared memory: one is used while the next arrives
constexpr uint32_t kVector = 8;             // halves of 16 bytes

/// A row of a matrix in shared memory: padded by 16 bytes, so that eight rows lie in different banks.
template <int kDim>
constexpr uint32_t kStride = kDim + kVector;

template <int kDim>
struct Layout {
  __half query[2][kQueries][kStride<kDim>];  // high, low
  __half key[kStages][kTile][kStride<kDim>];
  __half value[kStages][kTile][kStride<kDim>];
  float scale[kQueries];  // what a query was divided by, times the op's scale
  Visible visible[kQueries];
};

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Four 8x8 matrices of halves, one row of them at each lane's address.
__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], const __half* from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(from)));
}

__device__ __forceinline__ void load_transposed(uint32_t (&to)[4], const __half* from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(from)));
}

/// 16 bytes from global to shared memory in the background; zeros where `valid` is false.
__device__ __forceinline__ void copy_vector(__half* to, const __half* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0));
}

/// What a thread block works on: rows [row, row + rows), heads [head, head + heads) of one kv head.
struct Block {
  uint32_t row, rows, head, heads, kv_head;
  __device__ uint32_t queries() const { return rows * heads; }
};

/// Query i of the block into shared memory as two halves, scaled by a power of two to where halves are exact. One warp each.
template <int kDim>
__device__ void load_query(const AttentionArguments& a, const Block& block, Layout<kDim>& s, uint32_t i, uint32_t lane) {
  const bool present = i < block.queries();
  const uint32_t row = block.row + (present ? i / block.heads : 0), head = block.head + (present ? i % block.heads : 0);
  const float* q = a.q + (static_cast<uint64_t>(row) * a.heads + head) * a.head_dim;
  float largest = 0;
  for (uint32_t d = lane; d < a.head_dim; d += 32) largest = fmaxf(largest, fabsf(q[d]));
  largest = warp_max(largest);
  const float up = power_for_halves(largest);
  for (uint32_t d = lane; d < kDim; d += 32) {
    const float value = present && d < a.head_dim ? q[d] * up : 0.0f;
    const __half high = __float2half_rn(value);
    s.query[0][i][d] = high;
    s.query[1][i][d] = __float2half_rn(value - __half2float(high));
  }
  if (lane == 0) {
    s.scale[i] = a.scale / up;
    s.visible[i] = present ? visible_of(a.rows[row], a.window) : Visible{0, 0};
  }
}

/// Keys and values of positions [first, first + kTile) on their way to a stage.
template <int kDim>
__device__ void fetch_tile(const AttentionArguments& a, Layout<kDim>& s, uint32_t stage, uint64_t cache, uint32_t first,
                           uint32_t end) {
  for (uint32_t i = threadIdx.x; i < kTile * kDim / kVector; i += kThreads) {
    const uint32_t p = i / (kDim / kVector), d = i % (kDim / kVector) * kVector;
    const bool valid = first + p < end && d < a.head_dim;
    const uint64_t from = cache + static_cast<uint64_t>(valid ? first + p : 0) * a.head_dim + (valid ? d : 0);
    copy_vector(&s.key[stage][p][d], a.k + from, valid);
    copy_vector(&s.value[stage][p][d], a.v + from, valid);
  }
  asm volatile("cp.async.commit_group;");
}

/// A warp's 16 queries: lane l has the sums of queries l / 4 and l / 4 + 8.
template <int kDim>
struct Queries {
  float sums[kDim / 8][4] = {};
  float most[2] = {-INFINITY, -INFINITY};
  float total[2] = {};  // of this lane's positions
};

/// scores[n][c]: positions 8 n + (lane % 4) * 2 + c % 2 of query lane / 4 + 8 * (c / 2).
template <int kDim>
__device__ void score_tile(const Layout<kDim>& s, uint32_t stage, uint32_t warp, uint32_t lane,
                           float (&scores)[kTile / 8][4]) {
#pragma unroll
  for (uint32_t k = 0; k < kDim; k += 16) {
    uint32_t high[4], low[4];
    load_matrices(high, &s.query[0][16 * warp + lane % 16][k + lane / 16 * 8]);
    load_matrices(low, &s.query[1][16 * warp + lane % 16][k + lane / 16 * 8]);
#pragma unroll
    for (uint32_t n = 0; n < kTile / 8; n += 2) {
      uint32_t keys[4];
      load_matrices(keys, &s.key[stage][8 * n + lane % 8 + lane / 16 * 8][k + lane / 8 % 2 * 8]);
      multiply(scores[n], low, keys[0], keys[1]);
      multiply(scores[n + 1], low, keys[2], keys[3]);
      multiply(scores[n], high, keys[0], keys[1]);
      multiply(scores[n + 1], high, keys[2], keys[3]);
    }
  }
}

/// Masks and scales scores, takes them up into the running softmax and leaves weights.
template <int kDim>
__device__ void weigh_tile(const Layout<kDim>& s, Queries<kDim>& own, uint32_t warp, uint32_t lane, uint32_t first,
                           const bool (&in_run)[2], float (&scores)[kTile / 8][4]) {
#pragma unroll
  for (uint32_t half = 0; half < 2; ++half) {
    const uint32_t query = 16 * warp + lane / 4 + 8 * half;
    const Visible visible = s.visible[query];
    const float scale = s.scale[query];
    float most = own.most[half];
#pragma unroll
    for (uint32_t n = 0; n < kTile / 8; ++n) {
#pragma unroll
      for (uint32_t c = 2 * half; c < 2 * half + 2; ++c) {
        const uint32_t position = first + 8 * n + lane % 4 * 2 + c % 2;
        const bool seen = in_run[half] && position >= visible.begin && position < visible.end;
        scores[n][c] = seen ? scores[n][c] * scale : -INFINITY;
        most = fmaxf(most, scores[n][c]);
      }
    }
    most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
    most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
    const float base = most == -INFINITY ? 0.0f : most, factor = exp2f(own.most[half] - base);
    own.most[half] = most;
    own.total[half] *= factor;
#pragma unroll
    for (uint32_t n = 0; n < kTile / 8; ++n) {
#pragma unroll
      for (uint32_t c = 2 * half; c < 2 * half + 2; ++c) {
        scores[n][c] = exp2f(scores[n][c] - base);
        own.total[half] += scores[n][c];
      }
    }
#pragma unroll
    for (uint32_t d = 0; d < kDim / 8; ++d) {
      own.sums[d][2 * half] *= factor;
      own.sums[d][2 * half + 1] *= factor;
    }
  }
}

template <int kDim>
__device__ void add_values(const Layout<kDim>& s, uint32_t stage, uint32_t lane, const float (&weights)[kTile / 8][4],
                           Queries<kDim>& own) {
#pragma unroll
  for (uint32_t k = 0; k < kTile / 16; ++k) {
    uint32_t high[4], low[4];
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
      const float(&pair)[4] = weights[2 * k + i / 2];
      split_pair(pair[i % 2 * 2], pair[i % 2 * 2 + 1], high[i], low[i]);
    }
#pragma unroll
    for (uint32_t d = 0; d < kDim / 8; d += 2) {
      uint32_t values[4];
      load_transposed(values, &s.value[stage][16 * k + lane % 16][8 * d + lane / 16 * 8]);
      multiply(own.sums[d], low, values[0], values[1]);
      multiply(own.sums[d + 1], low, values[2], values[3]);
      multiply(own.sums[d], high, values[0], values[1]);
      multiply(own.sums[d + 1], high, values[2], values[3]);
    }
  }
}

template <int kDim>
__device__ void write_rows(const AttentionArguments& a, const Block& block, const Queries<kDim>& own, uint32_t warp,
                           uint32_t lane) {
#pragma unroll
  for (uint32_t half = 0; half < 2; ++half) {
    float total = own.total[half];
    total += __shfl_xor_sync(kAllLanes, total, 1);
    total += __shfl_xor_sync(kAllLanes, total, 2);
    const uint32_t query = 16 * warp + lane / 4 + 8 * half;
    if (query >= block.queries()) continue;
    const uint64_t at = static_cast<uint64_t>(block.row + query / block.heads) * a.heads + block.head + query % block.heads;
    float* out = a.out + at * a.head_dim;
#pragma unroll
    for (uint32_t d = 0; d < kDim / 8; ++d) {
      const uint32_t to = 8 * d + lane % 4 * 2;
      if (to >= a.head_dim) continue;
      out[to] = own.sums[d][2 * half] / total;
      out[to + 1] = own.sums[d][2 * half + 1] / total;
    }
  }
}

/// Rows of the block from `row` on that belong to one slot, and the positions that any of them sees.
struct Run { uint32_t row, end, slot; Visible visible; };
__device__ Run run_from(const AttentionArguments& a, const Block& block, uint32_t row) {
  Run run{row, row, a.rows[row].slot, {UINT32_MAX, 0}};
  for (; run.end < block.row + block.rows && a.rows[run.end].slot == run.slot; ++run.end) {
    const Visible visible = visible_of(a.rows[run.end], a.window);
    run.visible = {min(run.visible.begin, visible.begin), max(run.visible.end, visible.end)};
  }
  return run;
}

template <int kDim>
__global__ void __launch_bounds__(kThreads) attend_tiles(AttentionArguments a, uint32_t rows_of_block,
                                                         uint32_t heads_of_block) {
  extern __shared__ __align__(16) uint8_t dynamic[];
  auto& s = *reinterpret_cast<Layout<kDim>*>(dynamic);
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const uint32_t group = a.heads / a.kv_heads, blocks = (group + heads_of_block - 1) / heads_of_block;
  const uint32_t in_group = blockIdx.y % blocks * heads_of_block;
  // The last rows first: they see most positions.
  const uint32_t row = (gridDim.x - 1 - blockIdx.x) * rows_of_block, kv_head = blockIdx.y / blocks;
  const Block block{row, min(rows_of_block, a.row_count - row), kv_head * group + in_group,
                    min(heads_of_block, group - in_group), kv_head};
  wait_for_previous();
  let_next_begin();
  for (uint32_t i = warp; i < kQueries; i += kWarps) load_query(a, block, s, i, lane);
  Queries<kDim> own;
  for (uint32_t next = block.row; next < block.row + block.rows;) {
    const Run run = run_from(a, block, next);
    next = run.end;
    const uint64_t cache = (static_cast<uint64_t>(run.slot) * a.kv_heads + kv_head) * a.context * a.head_dim;
    bool in_run[2];
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t own_row = block.row + (16 * warp + lane / 4 + 8 * half) / block.heads;
      in_run[half] = own_row >= run.row && own_row < run.end;
    }
    uint32_t stage = 0;
    fetch_tile(a, s, 0, cache, run.visible.begin, run.visible.end);
    for (uint32_t first = run.visible.begin; first < run.visible.end; first += kTile, stage ^= 1) {
      asm volatile("cp.async.wait_group 0;");
      __syncthreads();  // the tile is there for all, and nobody uses the other one any more
      if (first + kTile < run.visible.end) fetch_tile(a, s, stage ^ 1, cache, first + kTile, run.visible.end);
      float scores[kTile / 8][4] = {};
      score_tile(s, stage, warp, lane, scores);
      weigh_tile(s, own, warp, lane, first, in_run, scores);
      add_values(s, stage, lane, scores, own);
    }
    __syncthreads();  // before the next run fetches into a stage
  }
  write_rows(a, block, own, warp, lane);
}

template <int kDim>
void launch_dim(const AttentionArguments& a, const Pass& pass) {
  const uint32_t group = a.heads / a.kv_heads, heads = std::min(group, kQueries), rows = kQueries / heads;
  const dim3 grid((pass.rows + rows - 1) / rows, a.kv_heads * ((group + heads - 1) / heads));
  constexpr size_t shared = sizeof(Layout<kDim>);
  if constexpr (shared > 48 << 10) {
    NTX_CUDA(cudaFuncSetAttribute(attend_tiles<kDim>, cudaFuncAttributeMaxDynamicSharedMemorySize, int{shared}));
  }
  launch(attend_tiles<kDim>, pass.traits, pass.stream, grid, kThreads, shared, a, rows, heads);
}

}  // namespace

void launch_attention_tiles(const AttentionArguments& a, const Pass& pass) {
  if (a.head_dim <= 64) return launch_dim<64>(a, pass);
  if (a.head_dim <= 96) return launch_dim<96>(a, pass);
  static_assert(kMaxTileDim == 128);
  return launch_dim<128>(a, pass);
}

}  // namespace ntx::cuda
