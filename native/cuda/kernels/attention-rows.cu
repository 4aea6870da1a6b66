// Attention of single rows on the tensor cores: the up to eight query heads that share a kv head are one operand, keys and
// values come straight from global memory as the other. Every warp takes 16 positions at a time with a softmax of its own;
// the warps' sums are put together at the end. Which head dimension is which column of an operand is free, so that lanes
// load 16 bytes at once.
#include "attention-splits.cuh"
#include "mma.cuh"

namespace ntx::cuda {

namespace {

constexpr uint32_t kWarps = 8;
constexpr uint32_t kThreads = 32 * kWarps;
constexpr uint32_t kBlock = 16;  // positions of a warp at a time

/// Of a thread block. kDim: the heads' width, rounded up to a multiple of 32.
template <uint32_t kDim>
struct Shared {
  float queries[kMaxHeads][kDim + 8];
  float sums[kWarps][kMaxHeads][kDim + 8];
  float most[kWarps][kMaxHeads], total[kWarps][kMaxHeads];
};

/// The queries as operand a: lane l has head l / 4, dimensions 32 j + 8 (l % 4) + 0 .. 7 in words 4 j .. 4 j + 3.
template <uint32_t kDim>
struct Queries {
  uint32_t high[kDim / 8], low[kDim / 8];
  float scale;  // what scores are to be multiplied by
};

template <uint32_t kDim>
__device__ Queries<kDim> split_queries(const Shared<kDim>& s, uint32_t lane) {
  float values[kDim / 4], largest = 0;
  const float* own = s.queries[lane / 4] + lane % 4 * 8;
#pragma unroll
  for (uint32_t i = 0; i < kDim / 4; i += 4) {
    const float4 four = *reinterpret_cast<const float4*>(own + i / 8 * 32 + i % 8);
    values[i] = four.x, values[i + 1] = four.y, values[i + 2] = four.z, values[i + 3] = four.w;
    largest = fmaxf(fmaxf(fmaxf(largest, fabsf(four.x)), fabsf(four.y)), fmaxf(fabsf(four.z), fabsf(four.w)));
  }
  largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
  largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
  const float up = power_for_halves(largest);
  Queries<kDim> queries;
#pragma unroll
  for (uint32_t i = 0; i < kDim / 8; ++i) {
    split_pair(values[2 * i] * up, values[2 * i + 1] * up, queries.high[i], queries.low[i]);
  }
  queries.scale = 1.0f / up;
  return queries;
}

/// 16 bytes of a row, or zeros beyond its end.
__device__ __forceinline__ uint4 load_vector(const __half* row, uint32_t at, uint32_t dim) {
  return at < dim ? *reinterpret_cast<const uint4*>(row + at) : uint4{};
}

/// The keys and values of 16 positions, on their way into registers.
template <uint32_t kDim>
struct Loaded {
  static constexpr uint32_t kKeys = kDim / 32, kValues = (kDim + 63) / 64;
  uint4 keys[2][kKeys];      // position lane / 4 (+ 8), dimensions 32 j + 8 (lane % 4) ...
  uint4 values[4][kValues];  // positions 2 (lane % 4) + 0, 1, 8, 9, dimensions 64 j + 8 (lane / 4) ...
};

template <uint32_t kDim>
__device__ __forceinline__ Loaded<kDim> load_block(const AttentionArguments& a, const Share& share, uint32_t first,
                                                   uint32_t lane) {
  Loaded<kDim> loaded;
  const auto row = [&](const __half* cache, uint32_t position) {
    return cache + share.cache + static_cast<uint64_t>(min(position, share.end - 1)) * a.head_dim;
  };
#pragma unroll
  for (uint32_t n = 0; n < 2; ++n) {
    const __half* key = row(a.k, first + lane / 4 + 8 * n);
#pragma unroll
    for (uint32_t j = 0; j < Loaded<kDim>::kKeys; ++j) {
      loaded.keys[n][j] = load_vector(key, 32 * j + lane % 4 * 8, a.head_dim);
    }
  }
#pragma unroll
  for (uint32_t n = 0; n < 4; ++n) {
    const __half* value = row(a.v, first + lane % 4 * 2 + n % 2 + n / 2 * 8);
#pragma unroll
    for (uint32_t j = 0; j < Loaded<kDim>::kValues; ++j) {
      loaded.values[n][j] = load_vector(value, 64 * j + lane / 4 * 8, a.head_dim);
    }
  }
  return loaded;
}

__device__ __forceinline__ uint32_t word(const uint4& vector, uint32_t i) {
  return i == 0 ? vector.x : i == 1 ? vector.y : i == 2 ? vector.z : vector.w;
}

/// A warp's state: lane l has head l / 4.
template <uint32_t kDim>
struct State {
  float sums[Loaded<kDim>::kValues][8][2] = {};  // [j][i][c]: dimension 64 j + 8 (2 (l % 4) + c) + i
  float most = -INFINITY, total = 0;             // total: of this lane's positions
};

/// scores[n][c]: head lane / 4, position first + 8 n + 2 (lane % 4) + c.
template <uint32_t kDim>
__device__ __forceinline__ void score_block(const Queries<kDim>& queries, const Loaded<kDim>& loaded, float (&scores)[2][2]) {
  // Two sums, so that half as many operations wait for one another.
  float rests[2][2] = {};
#pragma unroll
  for (uint32_t j = 0; j < Loaded<kDim>::kKeys; ++j) {
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t at = 4 * j + 2 * half;
#pragma unroll
      for (uint32_t n = 0; n < 2; ++n) {
        const uint32_t b0 = word(loaded.keys[n][j], 2 * half), b1 = word(loaded.keys[n][j], 2 * half + 1);
        multiply_half(rests[n], queries.low[at], queries.low[at + 1], b0, b1);
        multiply_half(scores[n], queries.high[at], queries.high[at + 1], b0, b1);
      }
    }
  }
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) scores[i / 2][i % 2] += rests[i / 2][i % 2];
}

/// Scores become weights 2^(score - most), on top of what came before.
template <uint32_t kDim>
__device__ __forceinline__ void weigh_block(State<kDim>& state, float scale, uint32_t first, uint32_t end, uint32_t lane,
                                            float (&scores)[2][2]) {
  float most = state.most;
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    float& score = scores[i / 2][i % 2];
    score = first + i / 2 * 8 + lane % 4 * 2 + i % 2 < end ? score * scale : -INFINITY;
    most = fmaxf(most, score);
  }
  most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
  most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
  const float factor = exp2f(state.most - most);
  state.most = most;
  state.total *= factor;
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    scores[i / 2][i % 2] = exp2f(scores[i / 2][i % 2] - most);
    state.total += scores[i / 2][i % 2];
  }
#pragma unroll
  for (uint32_t j = 0; j < Loaded<kDim>::kValues; ++j) {
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) {
      state.sums[j][i][0] *= factor;
      state.sums[j][i][1] *= factor;
    }
  }
}

template <uint32_t kDim>
__device__ __forceinline__ void add_values(State<kDim>& state, const Loaded<kDim>& loaded, const float (&weights)[2][2]) {
  uint32_t high[2], low[2];
  split_pair(weights[0][0], weights[0][1], high[0], low[0]);
  split_pair(weights[1][0], weights[1][1], high[1], low[1]);
#pragma unroll
  for (uint32_t j = 0; j < Loaded<kDim>::kValues; ++j) {
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) {
      // Dimension i of two neighbouring positions in one word.
      const uint32_t pick = i % 2 == 0 ? 0x5410 : 0x7632;
      const uint32_t b0 = __byte_perm(word(loaded.values[0][j], i / 2), word(loaded.values[1][j], i / 2), pick);
      const uint32_t b1 = __byte_perm(word(loaded.values[2][j], i / 2), word(loaded.values[3][j], i / 2), pick);
      multiply_half(state.sums[j][i], low[0], low[1], b0, b1);
      multiply_half(state.sums[j][i], high[0], high[1], b0, b1);
    }
  }
}

template <uint32_t kDim>
__device__ void keep(const State<kDim>& state, Shared<kDim>& s, uint32_t warp, uint32_t lane) {
  const uint32_t h = lane / 4;
  float total = state.total;
  total += __shfl_xor_sync(kAllLanes, total, 1);
  total += __shfl_xor_sync(kAllLanes, total, 2);
  if (lane % 4 == 0) {
    s.most[warp][h] = state.most;
    s.total[warp][h] = total;
  }
#pragma unroll
  for (uint32_t j = 0; j < Loaded<kDim>::kValues; ++j) {
#pragma unroll
    for (uint32_t c = 0; c < 2; ++c) {
      const uint32_t at = 64 * j + 8 * (lane % 4 * 2 + c);
      if (at >= kDim) continue;
#pragma unroll
      for (uint32_t i = 0; i < 8; i += 4) {
        *reinterpret_cast<float4*>(&s.sums[warp][h][at + i]) = {state.sums[j][i][c], state.sums[j][i + 1][c],
                                                                state.sums[j][i + 2][c], state.sums[j][i + 3][c]};
      }
    }
  }
}

/// The warps' sums in one, in the order of the warps.
template <uint32_t kDim>
__device__ void put_sums(const Split& p, const Share& share, const Shared<kDim>& s, uint32_t warps) {
  const uint32_t dim = p.a.head_dim;
  for (uint32_t i = threadIdx.x; i < share.heads * dim; i += kThreads) {
    const uint32_t h = i / dim, d = i % dim;
    float most = s.most[0][h], sum = 0, total = 0;
    for (uint32_t w = 1; w < warps; ++w) most = fmaxf(most, s.most[w][h]);
    for (uint32_t w = 0; w < warps; ++w) {
      const float factor = exp2f(s.most[w][h] - most);
      sum += factor * s.sums[w][h][d];
      total += factor * s.total[w][h];
    }
    put_sum(p, share, h, d, sum, most, total);
  }
}

// Registers for two blocks: more would keep it from starting beside a product's block, and the products behind it as well.
template <uint32_t kDim, bool kRotate>
__global__ void __launch_bounds__(kThreads, 2) attend_rows(const __grid_constant__ Split p) {
  extern __shared__ __align__(16) uint8_t dynamic[];
  auto& s = *reinterpret_cast<Shared<kDim>*>(dynamic);
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  let_next_begin();
  const StepRow row = row_of_block(p);
  const Share share = share_of(p, row);
  if (share.part < share.parts) fetch_ahead<kThreads, kRotate>(p, row, share);
  wait_for_previous();
  if (share.part >= share.parts) return;
  load_queries<kThreads, kRotate>(p, row, share, kDim + 8, &s.queries[0][0]);
  __syncthreads();
  const Queries<kDim> queries = split_queries(s, lane);
  State<kDim> state;
  for (uint32_t first = share.begin + warp * kBlock; first < share.end; first += kWarps * kBlock) {
    const Loaded<kDim> loaded = load_block<kDim>(p.a, share, first, lane);
    float scores[2][2] = {};
    score_block(queries, loaded, scores);
    weigh_block(state, queries.scale, first, share.end, lane, scores);
    add_values(state, loaded, scores);
  }
  const uint32_t warps = min(kWarps, (share.end - share.begin + kBlock - 1) / kBlock);
  if (warp < warps) keep(state, s, warp, lane);
  __syncthreads();
  put_sums(p, share, s, warps);
  finish<kThreads>(p, share);
}

template <uint32_t kDim, bool kRotate>
void launch_kernel(const Split& split, const Pass& pass, dim3 grid) {
  constexpr size_t shared = sizeof(Shared<kDim>);
  const auto kernel = attend_rows<kDim, kRotate>;
  if constexpr (shared > 48 << 10) {
    NTX_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int{shared}));
  }
  launch(kernel, pass.traits, pass.stream, grid, kThreads, shared, split);
}

template <uint32_t kDim>
void launch_dim(const Split& split, bool rotate, const Pass& pass, dim3 grid) {
  if (rotate) return launch_kernel<kDim, true>(split, pass, grid);
  launch_kernel<kDim, false>(split, pass, grid);
}

}  // namespace

void launch_attention_rows(const Split& split, bool rotate, const Pass& pass) {
  const uint32_t group = split.a.heads / split.a.kv_heads, blocks = (group + kMaxHeads - 1) / kMaxHeads;
  const dim3 grid(split.splits, split.a.kv_heads * blocks, split.a.row_count);
  if (split.a.head_dim <= 64) return launch_dim<64>(split, rotate, pass, grid);
  if (split.a.head_dim <= 96) return launch_dim<96>(split, rotate, pass, grid);
  static_assert(kMaxTileDim == 128);
  launch_dim<128>(split, rotate, pass, grid);
}

}  // namespace ntx::cuda
