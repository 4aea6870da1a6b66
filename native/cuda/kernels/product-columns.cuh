// The product of 2 to 64 activation rows (columns here) on the tensor cores, bound by the weights' bytes for the fewer
// of them. A block takes 16 rows of weights at a time; its warps share their columns out in chunks of 256 weights, each
// streaming its chunks of the 16 rows through its ring, and add up what they have at the end.
#pragma once

#include "product-launch.h"
#include "product-mma.cuh"
#include "product-ring.cuh"

namespace ntx::cuda {

constexpr uint32_t kColumnWarps = 8;
constexpr uint32_t kTileRows = 16;

template <class T>
struct ChunkShape {
  static constexpr uint32_t kBytes = 256 / T::kBlock * T::kBytes;
  // An odd multiple of 16, so that the rows which lanes read at once lie in different banks.
  static constexpr uint32_t kStripBytes = strip_bytes<T>(kBytes) | 16;
  using Ring = WeightRing<kTileRows, kStripBytes>;
};

struct ColumnArgs {
  ProductGroup group;
  uint32_t stages;
};

/** 16 rows of one matrix. */
struct RowTile {
  uint32_t part, row;
};

__host__ __device__ inline uint32_t tiles_of(const ProductPart& part) {
  return (part.rows + kTileRows - 1) / kTileRows;
}

/** Tiles of all the group's matrices; those of gate and up alternate. */
__host__ __device__ inline uint32_t row_tiles(const ProductGroup& group) {
  uint32_t tiles = 0;
  for (uint32_t i = 0; i < group.part_count; ++i) tiles += tiles_of(group.parts[i]);
  return tiles;
}

__device__ inline RowTile row_tile(const ProductGroup& group, uint32_t tile) {
  if (group.kind == ProductKind::gated) return {tile & 1, (tile >> 1) * kTileRows};
  uint32_t part = 0;
  while (part + 1 < group.part_count && tile >= tiles_of(group.parts[part])) tile -= tiles_of(group.parts[part++]);
  return {part, tile * kTileRows};
}

/** First byte of a tile's row `i`; past the matrix's end its last row. */
template <class T>
__device__ const uint8_t* tile_row(const ProductGroup& group, const RowTile& tile, uint32_t i) {
  const ProductPart& part = group.parts[tile.part];
  const size_t row_bytes = group.cols / T::kBlock * T::kBytes;
  return part.weights + min(tile.row + i, part.rows - 1) * row_bytes;
}

/** Eight columns' part of a half chunk, in registers: what BlockRows and SuperRows ask for. */
template <class T>
struct HeldColumns {
  static constexpr int kScales = T::kBlock == 32 ? kHalf : 1;
  static constexpr int kSums = T::kBlock == 32 && T::kHasMin ? kHalf : 1;
  uint2 codes_[kHalf];
  float2 scales_[kScales];
  float2 sums_[kSums];

  /** Columns 8 n .. 8 n + 7 from piece `first` on, past L1 (see round_input). */
  __device__ void load(const RoundedColumns& columns, uint32_t first, int pieces, uint32_t n) {
    const uint32_t lane = threadIdx.x % kWarp, width = columns.width, at = 8 * n + 2 * (lane % 4);
#pragma unroll
    for (int p = 0; p < kHalf; ++p) {
      if (T::kBlock == 32 && p >= pieces) break;
      const size_t piece = static_cast<size_t>(first + p) * width;
      codes_[p] = __ldcg(reinterpret_cast<const uint2*>(columns.codes) + 4 * piece + kWarp * n + lane);
      if constexpr (T::kBlock == 32) {
        scales_[p] = __ldcg(reinterpret_cast<const float2*>(columns.scales + piece + at));
        if constexpr (T::kHasMin) {
          sums_[p] = __ldcg(reinterpret_cast<const float2*>(static_cast<const float*>(columns.sums) + piece + at));
        }
      }
    }
    if constexpr (T::kBlock == 256) {
      const size_t chunk = static_cast<size_t>(first / 8) * width;
      scales_[0] = __ldcg(reinterpret_cast<const float2*>(columns.scales + chunk + at));
    }
  }
  __device__ uint2 codes(int p) const { return codes_[p]; }
  __device__ float2 scales(int p = 0) const { return scales_[p]; }
  __device__ float2 sums(int p) const { return sums_[p]; }
};

/** Sums of sixteen codes of chunk `chunk`, as subtract_mins takes them. */
__device__ inline uint2 load_sixteens(const RoundedColumns& columns, uint32_t chunk, uint32_t n) {
  const uint32_t lane = threadIdx.x % kWarp;
  const size_t column = static_cast<size_t>(chunk) * columns.width + 8 * n + lane / 4;
  const uint32_t* words = static_cast<const uint32_t*>(columns.sums) + 8 * column + lane % 4;
  return make_uint2(__ldcg(words), __ldcg(words + 4));
}

/** A warp's way through the tiles of its block: chunks warp, warp + kColumnWarps, ... of each. */
class ColumnWalk {
 public:
  __device__ ColumnWalk(const ProductGroup& group, uint32_t units, uint32_t chunks, uint32_t warp)
      : unit_(warp < chunks ? blockIdx.x : units), units_(units), chunks_(chunks), warp_(warp), chunk_(warp) {
    gated_ = group.kind == ProductKind::gated;
  }
  __device__ bool done() const { return unit_ >= units_; }
  __device__ uint32_t tile() const { return gated_ ? 2 * unit_ + up_ : unit_; }
  __device__ uint32_t chunk() const { return chunk_; }
  __device__ void next() {
    chunk_ += kColumnWarps;
    if (chunk_ < chunks_) return;
    chunk_ = warp_;
    if (gated_) up_ ^= 1;
    if (up_ == 0) unit_ += gridDim.x;
  }

 private:
  uint32_t unit_, units_, chunks_, warp_, chunk_;
  uint32_t up_ = 0;
  bool gated_;
};

/** A chunk's sums of sixteen codes and scales of eight columns, as subtract_mins takes them: K types that have mins. */
template <class T>
struct HeldSums {
  uint2 sixteens;
  float2 scales;
  __device__ void load(const RoundedColumns& columns, uint32_t chunk, uint32_t n) {
    if constexpr (T::kBlock == 256 && T::kHasMin) {
      sixteens = load_sixteens(columns, chunk, n);
      const float* from = columns.scales + static_cast<size_t>(chunk) * columns.width + 8 * n + 2 * (threadIdx.x % 4);
      scales = __ldcg(reinterpret_cast<const float2*>(from));
    }
  }
};

/** What a warp holds of a chunk's columns: all of them if they are few, else eight at a time. */
template <class T, int kTiles>
struct HeldChunk {
  static constexpr bool kAll = kTiles == 1 || (kTiles == 2 && !(T::kBlock == 32 && T::kHasMin));
  // Where registers allow it the next chunk's are fetched while this one's are used.
  static constexpr bool kAhead = kTiles == 1 && T::kBlock == 256;
  HeldColumns<T> halves[2][kAll ? kTiles : 1];
  HeldSums<T> sums[kAll ? kTiles : 1];

  __device__ void load(const RoundedColumns& columns, uint32_t chunk, int pieces) {
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      sums[n].load(columns, chunk, n);
      halves[0][n].load(columns, 8 * chunk, pieces, n);
      halves[1][n].load(columns, 8 * chunk + kHalf, pieces - kHalf, n);
    }
  }
};

/** Adds one chunk of a tile to the warp's sums. `rows`: the lane's two rows in the ring. */
template <class T, int kTiles>
__device__ void add_chunk(float (&sums)[kTiles][4], const uint8_t* const (&rows)[2], const RoundedColumns& columns,
                          uint32_t chunk, int pieces, HeldChunk<T, kTiles>& held) {
  constexpr bool kAll = HeldChunk<T, kTiles>::kAll;
  if constexpr (T::kBlock == 256 && T::kHasMin) {
    RowMins<T> mins;
    mins.decode(rows);
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      HeldSums<T>& own = held.sums[kAll ? n : 0];
      if constexpr (!kAll) own.load(columns, chunk, n);
      subtract_mins<T>(sums[n], mins, own.sixteens, own.scales);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int count = min(pieces - kHalf * half, kHalf);
    if (count <= 0) break;
    const auto columns_of = [&](int n) -> const HeldColumns<T>& {
      HeldColumns<T>& own = held.halves[half][kAll ? n : 0];
      if constexpr (!kAll) own.load(columns, 8 * chunk + kHalf * half, count, n);
      return own;
    };
    if constexpr (T::kBlock == 256) {
      SuperRows<T> weights;
      weights.decode(rows, half);
#pragma unroll
      for (int n = 0; n < kTiles; ++n) weights.add(sums[n], columns_of(n));
    } else {
      const uint32_t skip = kHalf * half * T::kBytes;
      const uint8_t* const blocks[2] = {rows[0] + skip, rows[1] + skip};
      const auto add = [&](auto weights) {
        weights.decode(blocks, count);
#pragma unroll
        for (int n = 0; n < kTiles; ++n) weights.add(sums[n], columns_of(n), count);
      };
      // The code for whole halves besides takes more registers than 64 columns of a type with mins leave.
      if (count == kHalf && (kAll || !T::kHasMin)) {
        add(BlockRows<T, true>());
      } else {
        add(BlockRows<T, false>());
      }
    }
  }
}

/** Adds up the warps' sums of a tile and stores its results; `gates` keeps the gate's for the up tile that follows. */
template <int kTiles>
__device__ void store_tile(const ProductGroup& group, const RowTile& tile, const float* partial, uint32_t warps,
                           float (&gates)[(kTiles + 1) / 2]) {
  const ProductPart& part = group.parts[tile.part];
  const uint32_t row = threadIdx.x % kTileRows;
#pragma unroll
  for (int k = 0; k < (kTiles + 1) / 2; ++k) {
    const uint32_t column = threadIdx.x / kTileRows + 16 * k;
    if (column >= 8 * kTiles) break;
    float sum = 0;
    for (uint32_t w = 0; w < warps; ++w) sum += partial[(w * 8 * kTiles + column) * kTileRows + row];
    if (tile.row + row >= part.rows || column >= group.rows) continue;
    if (part.bias != nullptr) sum += part.bias[tile.row + row];
    const size_t at = static_cast<size_t>(column) * part.rows + tile.row + row;
    if (group.kind == ProductKind::gated) {
      if (tile.part == 0) {
        gates[k] = sum;
      } else {
        group.parts[0].out[at] = silu(gates[k]) * sum;
      }
    } else {
      part.out[at] = group.kind == ProductKind::accumulate ? __ldcg(part.out + at) + sum : sum;
    }
  }
}

template <class T, int kTiles>
__global__ void __launch_bounds__(kColumnWarps* kWarp, kTiles <= 2 ? 2 : 1)
    product_columns(const __grid_constant__ ColumnArgs args) {
  using Shape = ChunkShape<T>;
  using Ring = typename Shape::Ring;
  extern __shared__ __align__(128) uint8_t shared[];
  const ProductGroup& group = args.group;
  const uint32_t warp = __shfl_sync(0xffffffff, threadIdx.x / kWarp, 0), lane = threadIdx.x % kWarp;
  float* const partial = reinterpret_cast<float*>(shared);
  uint8_t* const rings = shared + kColumnWarps * kTiles * 8 * kTileRows * sizeof(float);
  uint64_t* const barriers = reinterpret_cast<uint64_t*>(rings + kColumnWarps * args.stages * Ring::kStageBytes);
  Ring ring(rings + warp * args.stages * Ring::kStageBytes, barriers + warp * args.stages, args.stages);

  const uint32_t each = group.kind == ProductKind::gated ? 2 : 1, units = row_tiles(group) / each;
  const uint32_t chunks = (group.cols + 255) / 256;
  const auto pieces_of = [&](uint32_t chunk) { return min(group.cols / 32 - 8 * chunk, 8u); };
  ColumnWalk ahead(group, units, chunks, warp);
  const auto load_next = [&] {
    if (ahead.done()) return;
    const uint8_t* strip = tile_row<T>(group, row_tile(group, ahead.tile()), Ring::lane_strip());
    ring.load(strip + ahead.chunk() * Shape::kBytes, pieces_of(ahead.chunk()) * T::kBytes / (T::kBlock / 32));
    ahead.next();
  };
  for (uint32_t i = 0; i < args.stages; ++i) load_next();
  let_next_begin();

  wait_for_previous();
  HeldChunk<T, kTiles> next;
  if (HeldChunk<T, kTiles>::kAhead && warp < chunks) next.load(group.columns, warp, static_cast<int>(pieces_of(warp)));
  float gates[(kTiles + 1) / 2] = {};
  for (uint32_t index = 0; blockIdx.x + index / each * gridDim.x < units; ++index) {
    const RowTile tile = row_tile(group, each * (blockIdx.x + index / each * gridDim.x) + index % each);
    const uint8_t* const starts[2] = {tile_row<T>(group, tile, lane / 4), tile_row<T>(group, tile, lane / 4 + 8)};
    float sums[kTiles][4] = {};
    for (uint32_t chunk = warp; chunk < chunks; chunk += kColumnWarps) {
      const int pieces = static_cast<int>(pieces_of(chunk));
      HeldChunk<T, kTiles> held;
      if constexpr (HeldChunk<T, kTiles>::kAhead) {
        held = next;
        const uint32_t after = chunk + kColumnWarps < chunks ? chunk + kColumnWarps : warp;
        next.load(group.columns, after, static_cast<int>(pieces_of(after)));
      } else if constexpr (HeldChunk<T, kTiles>::kAll) {
        held.load(group.columns, chunk, pieces);
      }
      const uint8_t* stage = ring.wait();
      const uint8_t* rows[2];
      for (int r = 0; r < 2; ++r) {
        rows[r] = stage + (lane / 4 + 8 * r) * Shape::kStripBytes + offset_16(starts[r] + chunk * Shape::kBytes);
      }
      add_chunk<T, kTiles>(sums, rows, group.columns, chunk, pieces, held);
      ring.release();
      load_next();
    }
    __syncthreads();
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const uint32_t column = 8 * n + 2 * (lane % 4) + i % 2;
        partial[(warp * 8 * kTiles + column) * kTileRows + lane / 4 + 8 * (i / 2)] = sums[n][i];
      }
    }
    __syncthreads();
    store_tile<kTiles>(group, tile, partial, min(chunks, kColumnWarps), gates);
  }
}

template <class T, int kTiles>
void launch_columns_of(const ProductGroup& group, const DeviceTraits& device, cudaStream_t stream) {
  using Ring = typename ChunkShape<T>::Ring;
  const size_t partial = kColumnWarps * kTiles * 8 * kTileRows * sizeof(float);
  const size_t stage = kColumnWarps * (Ring::kStageBytes + sizeof(uint64_t));
  const size_t half = half_shared(device), shared = partial + stage <= half ? half : device.shared_per_block_optin;
  const uint32_t stages = static_cast<uint32_t>((shared - partial) / stage);
  const uint32_t units = row_tiles(group) / (group.kind == ProductKind::gated ? 2 : 1);
  const unsigned blocks = min(units, (kTiles <= 2 ? 2 : 1) * static_cast<uint32_t>(device.multiprocessors));
  launch_kernel(product_columns<T, kTiles>, ColumnArgs{group, stages},
                {dim3(blocks), kColumnWarps * kWarp, partial + stages * stage}, device, stream);
}

template <class T>
void launch_columns(const ProductGroup& group, const DeviceTraits& device, cudaStream_t stream) {
  switch (group.columns.width) {
    case 8: return launch_columns_of<T, 1>(group, device, stream);
    case 16: return launch_columns_of<T, 2>(group, device, stream);
    default: return launch_columns_of<T, 8>(group, device, stream);
  }
}

}  // namespace ntx::cuda
