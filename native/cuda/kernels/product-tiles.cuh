// The product of many activation rows (columns here: a prompt) on the tensor cores. A block takes 128 rows of weights,
// 16 a warp, times 64 columns; weights come into shared memory as they are in the file, two stages deep, and every warp
// decodes its own rows from there, once for all 64 columns. A gated product's block takes 64 rows of gate and of up.
#pragma once

#include "product-launch.h"
#include "product-mma.cuh"
#include "product-ring.cuh"

namespace ntx::cuda {

constexpr uint32_t kTileWarps = 8;
constexpr uint32_t kTileThreads = kTileWarps * kWarp;
constexpr uint32_t kTileStrips = 16 * kTileWarps;
constexpr uint32_t kTileColumns = 64;

template <class T>
struct TileShape {
  static constexpr uint32_t kForm = T::kBlock;
  // Weights of a row in a stage: as many as leave two stages room in 99 KiB, whole blocks.
  static constexpr uint32_t kWeights = kForm == 32 ? 128 : 256;
  static constexpr uint32_t kPieces = kWeights / 32;
  static constexpr uint32_t kBytes = kWeights / T::kBlock * T::kBytes;
  // An odd multiple of 16, so that the rows which lanes read at once lie in different banks.
  static constexpr uint32_t kStripBytes = strip_bytes<T>(kBytes) | 16;
  static constexpr uint32_t kCodes = kTileStrips * kStripBytes;
  static constexpr uint32_t kScales = kCodes + kPieces * kTileColumns * 32;
  static constexpr uint32_t kScaleBytes = (kForm == 32 ? kPieces : 1) * kTileColumns * 4;
  static constexpr uint32_t kSums = kScales + kScaleBytes;
  static constexpr uint32_t kSumBytes = !T::kHasMin ? 0 : kForm == 32 ? kScaleBytes : kTileColumns * 32;
  static constexpr uint32_t kStageBytes = kSums + kSumBytes;
  static constexpr uint32_t kSharedBytes = 2 * kStageBytes;
  static_assert(kSharedBytes <= 99 * 1024);
};

struct TileArgs {
  ProductGroup group;
};

/** Rows of a matrix that a block takes, of two matrices when gated. */
__host__ __device__ inline uint32_t block_rows(const ProductGroup& group) {
  return group.kind == ProductKind::gated ? kTileStrips / 2 : kTileStrips;
}

__host__ __device__ inline uint32_t row_blocks(const ProductGroup& group, uint32_t part) {
  return (group.parts[part].rows + block_rows(group) - 1) / block_rows(group);
}

/** Of all matrices; gate and up share theirs. */
inline uint32_t all_row_blocks(const ProductGroup& group) {
  uint32_t blocks = row_blocks(group, 0);
  for (uint32_t i = 1; i < group.part_count && group.kind != ProductKind::gated; ++i) blocks += row_blocks(group, i);
  return blocks;
}

/** Where strip `strip` of a block lies: row may be past its matrix's end. */
struct StripPlace {
  uint32_t part, row;
};

__device__ inline StripPlace strip_place(const ProductGroup& group, uint32_t block, uint32_t strip) {
  if (group.kind == ProductKind::gated) {
    return {strip / (kTileStrips / 2), block * (kTileStrips / 2) + strip % (kTileStrips / 2)};
  }
  uint32_t part = 0;
  while (part + 1 < group.part_count && block >= row_blocks(group, part)) block -= row_blocks(group, part++);
  return {part, block * kTileStrips + strip};
}

template <class T>
__device__ const uint8_t* strip_start(const ProductGroup& group, uint32_t strip) {
  const StripPlace place = strip_place(group, blockIdx.y, strip);
  const ProductPart& part = group.parts[place.part];
  return part.weights + static_cast<size_t>(min(place.row, part.rows - 1)) * (group.cols / T::kBlock * T::kBytes);
}

__device__ inline void copy_bytes_async(uint8_t* to, const uint8_t* from, uint32_t bytes) {
  for (uint32_t i = 16 * threadIdx.x; i < bytes; i += 16 * kTileThreads) copy_16_async(to + i, from + i);
}

/** Two threads a strip; `start` is this thread's strip at the stage's first weight. */
__device__ inline void load_strip(uint8_t* strip, const uint8_t* start, uint32_t bytes) {
  const uint32_t size = offset_16(start) + bytes;
  for (uint32_t i = 16 * (threadIdx.x % 2); i < size; i += 32) copy_16_async(strip + i, start - offset_16(start) + i);
}

/** The columns of stage `stage`: `pieces` pieces of 32 activations. */
template <class T>
__device__ void load_columns(uint8_t* to, const RoundedColumns& columns, uint32_t cols, uint32_t stage,
                             uint32_t pieces) {
  using Shape = TileShape<T>;
  const size_t first = static_cast<size_t>(blockIdx.x) * (cols / 32) + stage * Shape::kPieces;
  copy_bytes_async(to + Shape::kCodes, columns.codes + first * kTileColumns * 32, pieces * kTileColumns * 32);
  const size_t scale = Shape::kForm == 32 ? first : first / 8;
  const uint32_t scale_bytes = Shape::kForm == 32 ? pieces * kTileColumns * 4 : Shape::kScaleBytes;
  copy_bytes_async(to + Shape::kScales, reinterpret_cast<const uint8_t*>(columns.scales + scale * kTileColumns),
                   scale_bytes);
  if constexpr (T::kHasMin) {
    const size_t sum = scale * kTileColumns * (Shape::kForm == 32 ? 4 : 32);
    copy_bytes_async(to + Shape::kSums, static_cast<const uint8_t*>(columns.sums) + sum,
                     Shape::kForm == 32 ? scale_bytes : Shape::kSumBytes);
  }
}

/** Eight columns of a half stage in shared memory: what BlockRows and SuperRows ask for. */
template <class T>
struct SharedColumns {
  const uint2* codes_;  // this lane's, of the first piece
  const float* scales_;
  const float* sums_;

  __device__ SharedColumns(const uint8_t* stage, uint32_t half, uint32_t n) {
    using Shape = TileShape<T>;
    const uint32_t lane = threadIdx.x % kWarp, column = 8 * n + 2 * (lane % 4);
    const uint32_t first = Shape::kForm == 32 ? 0 : kHalf * half;
    codes_ = reinterpret_cast<const uint2*>(stage + Shape::kCodes) + first * kTileColumns * 4 + kWarp * n + lane;
    scales_ = reinterpret_cast<const float*>(stage + Shape::kScales) + column;
    sums_ = reinterpret_cast<const float*>(stage + Shape::kSums) + column;
  }
  __device__ uint2 codes(int p) const { return codes_[p * kTileColumns * 4]; }
  __device__ float2 scales(int p = 0) const { return *reinterpret_cast<const float2*>(scales_ + p * kTileColumns); }
  __device__ float2 sums(int p) const { return *reinterpret_cast<const float2*>(sums_ + p * kTileColumns); }
};

/** Adds a stage to the warp's sums. `rows`: the lane's two rows in it. */
template <class T>
__device__ void add_stage(float (&sums)[8][4], const uint8_t* stage, const uint8_t* const (&rows)[2], int pieces) {
  using Shape = TileShape<T>;
  if constexpr (Shape::kForm == 256 && T::kHasMin) {
    RowMins<T> mins;
    mins.decode(rows);
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      const uint32_t lane = threadIdx.x % kWarp;
      const uint32_t* words =
          reinterpret_cast<const uint32_t*>(stage + Shape::kSums) + 8 * (8 * n + lane / 4) + lane % 4;
      subtract_mins<T>(sums[n], mins, make_uint2(words[0], words[4]), SharedColumns<T>(stage, 0, n).scales());
    }
  }
  if constexpr (Shape::kForm == 256) {
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      SuperRows<T> weights;
      weights.decode(rows, half);
#pragma unroll
      for (int n = 0; n < 8; ++n) weights.add(sums[n], SharedColumns<T>(stage, half, n));
    }
  } else {
    const auto add = [&](auto weights) {
      weights.decode(rows, pieces);
#pragma unroll
      for (int n = 0; n < 8; ++n) weights.add(sums[n], SharedColumns<T>(stage, 0, n), pieces);
    };
    if (pieces == kHalf) {
      add(BlockRows<T, true>());
    } else {
      add(BlockRows<T, false>());
    }
  }
}

/** Stores the warp's 16 rows; `shared` is the block's, free for the up matrix's sums when gated. */
__device__ inline void store_sums(const ProductGroup& group, float (&sums)[8][4], float* shared) {
  const uint32_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const bool gated = group.kind == ProductKind::gated;
  const StripPlace place = strip_place(group, blockIdx.y, 16 * warp + lane / 4);
  const ProductPart& part = group.parts[place.part];
  for (int i = 0; i < 4; ++i) {
    const uint32_t row = place.row + 8 * (i / 2);
    const float bias = part.bias != nullptr && row < part.rows ? part.bias[row] : 0.0f;
#pragma unroll
    for (int n = 0; n < 8; ++n) sums[n][i] += bias;
  }
  if (gated) {
    float* const ups = shared + threadIdx.x % (kTileThreads / 2);
    __syncthreads();
    if (place.part == 1) {
#pragma unroll
      for (int k = 0; k < 32; ++k) ups[k * kTileThreads / 2] = sums[k / 4][k % 4];
    }
    __syncthreads();
    if (place.part == 1) return;
#pragma unroll
    for (int k = 0; k < 32; ++k) sums[k / 4][k % 4] = silu(sums[k / 4][k % 4]) * ups[k * kTileThreads / 2];
  }
#pragma unroll
  for (int n = 0; n < 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t row = place.row + 8 * (i / 2), column = blockIdx.x * kTileColumns + 8 * n + 2 * (lane % 4) + i % 2;
      if (row >= part.rows || column >= group.rows) continue;
      float* const out = part.out + static_cast<size_t>(column) * part.rows + row;
      *out = group.kind == ProductKind::accumulate ? __ldcg(out) + sums[n][i] : sums[n][i];
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kTileThreads, 2) product_tiles(const __grid_constant__ TileArgs args) {
  using Shape = TileShape<T>;
  extern __shared__ __align__(128) uint8_t shared[];
  const ProductGroup& group = args.group;
  const uint32_t warp = __shfl_sync(0xffffffff, threadIdx.x / kWarp, 0), lane = threadIdx.x % kWarp;
  const uint32_t pieces = group.cols / 32, stages = (pieces + Shape::kPieces - 1) / Shape::kPieces;
  const auto pieces_of = [&](uint32_t stage) { return min(pieces - stage * Shape::kPieces, Shape::kPieces); };
  const uint8_t* const source = strip_start<T>(group, threadIdx.x / 2);
  const uint8_t* const own[2] = {strip_start<T>(group, 16 * warp + lane / 4),
                                 strip_start<T>(group, 16 * warp + lane / 4 + 8)};
  const auto load_weights = [&](uint32_t stage) {
    load_strip(shared + (stage & 1) * Shape::kStageBytes + threadIdx.x / 2 * Shape::kStripBytes,
               source + stage * Shape::kBytes, pieces_of(stage) * T::kBytes / (T::kBlock / 32));
  };
  const auto load_activations = [&](uint32_t stage) {
    load_columns<T>(shared + (stage & 1) * Shape::kStageBytes, group.columns, group.cols, stage, pieces_of(stage));
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  let_next_begin();
  load_weights(0);
  wait_for_previous();
  load_activations(0);
  float sums[8][4] = {};
  for (uint32_t stage = 0; stage < stages; ++stage) {
    if (stage + 1 < stages) {
      load_weights(stage + 1);
      load_activations(stage + 1);
      asm volatile("cp.async.wait_group 1;" ::: "memory");
    } else {
      asm volatile("cp.async.wait_group 0;" ::: "memory");
    }
    __syncthreads();
    const uint8_t* const at = shared + (stage & 1) * Shape::kStageBytes;
    const uint8_t* rows[2];
    for (int r = 0; r < 2; ++r) {
      rows[r] = at + (16 * warp + lane / 4 + 8 * r) * Shape::kStripBytes + offset_16(own[r] + stage * Shape::kBytes);
    }
    add_stage<T>(sums, at, rows, static_cast<int>(pieces_of(stage)));
    __syncthreads();
  }
  store_sums(group, sums, reinterpret_cast<float*>(shared));
}

template <class T>
void launch_tiles(const ProductGroup& group, const DeviceTraits& device, cudaStream_t stream) {
  const dim3 grid(group.columns.blocks, all_row_blocks(group));
  launch_kernel(product_tiles<T>, TileArgs{group}, {grid, kTileThreads, TileShape<T>::kSharedBytes}, device, stream);
}

}  // namespace ntx::cuda
