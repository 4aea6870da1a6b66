// The product of one activation row: every warp streams whole rows of weights through its ring (product-ring.cuh), and
// every block rounds the activations for itself while the first weights arrive. That repeats a little work in each
// block and saves a kernel, whose end and start cost more.
//
// A lane takes pieces of 32 weights: one block, or an eighth of a K type's.
#pragma once

#include "product-group.h"
#include "product-launch.h"
#include "product-ring.cuh"
#include "quant/bytes.cuh"
#include "quantize.cuh"

namespace ntx::cuda {

// Warps a block, at most. sm_90 hides latencies best with 16; other architectures' code needs the registers that 10
// leave.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ == 900
constexpr uint32_t kVectorWarps = 16;
#else
constexpr uint32_t kVectorWarps = 10;
#endif
inline uint32_t vector_warps(const DeviceTraits& device) { return device.major == 9 ? 16 : 10; }

/**
 * A multiprocessor has room for two blocks, and a kernel has one for each. The next kernel's block comes in beside it
 * and fills its ring, then waits. When the first ends, the third's takes its place: weights flow all the time, and as
 * there is never room for two blocks of one kernel, no multiprocessor gets more work than another. (Blocks of less
 * shared memory or started later did land two on one multiprocessor and none on the next: a fifth slower, says
 * bench/cuda/LOG.md.)
 *
 * Behind attention that does not hold by itself: attention has a few blocks, and while they run there is room for two
 * blocks of this kernel elsewhere. There a block gets more than half of the memory, and all others leave it that room.
 */
constexpr uint32_t kVectorResident = 2;

template <class T>
struct VectorShape {
  // Of a stage: some two kilobytes, as every stage costs a hundred instructions and more.
  static constexpr uint32_t kPieces = T::kBytes * (64 * 32 / T::kBlock) < 1500 ? 128 : 64;
  static constexpr uint32_t kBlockPieces = T::kBlock / 32;
  static constexpr uint32_t kBytes = kPieces / kBlockPieces * T::kBytes;
  static constexpr uint32_t kStripBytes = strip_bytes<T>(kBytes);
  static constexpr bool kSums = T::kHasMin || T::kZero != 0;
  static constexpr bool kSplitSums = T::kSub == 16;
  static constexpr uint32_t kForm = T::kBlock;
  using Ring = WeightRing<1, kStripBytes>;
};

/** The activations in shared memory, for each piece: codes of its first sixteen values, of the others, sums, scale. */
struct VectorInput {
  int4 *low, *high;
  uint32_t* sums;  // of a piece's codes; where 16 weights share a scale: of either sixteen, int16, the first one low
  float* scales;   // a piece each in form 32, eight pieces each in form 256
  static __host__ __device__ size_t bytes(uint32_t pieces) { return round_up(pieces * 40, 16); }
  __device__ VectorInput(uint8_t* shared, uint32_t pieces)
      : low(reinterpret_cast<int4*>(shared)),
        high(low + pieces),
        sums(reinterpret_cast<uint32_t*>(high + pieces)),
        scales(reinterpret_cast<float*>(sums + pieces)) {}
};

struct VectorArgs {
  ProductGroup group;
  uint32_t stages;
  uint32_t rows;  // of all matrices; of a gated product of one of the two
};

/**
 * A warp's way through its rows, stage by stage: row worker, worker + workers, ..., so that the rows which all warps
 * read at a time lie together in memory. Of a gated product each is two rows, gate's and up's.
 */
template <class T>
class VectorWalk {
  using Shape = VectorShape<T>;

 public:
  __device__ VectorWalk(const VectorArgs& args, uint32_t worker)
      : args_(args), index_(worker), pieces_(args.group.cols / 32), left_(args.group.cols / 32) {
    seek();
  }
  __device__ bool done() const { return index_ >= args_.rows; }
  __device__ const uint8_t* strip() const { return strip_; }
  /** First piece of the stage in its row. */
  __device__ uint32_t first() const { return pieces_ - left_; }
  __device__ uint32_t pieces() const { return min(left_, Shape::kPieces); }
  __device__ uint32_t bytes() const { return pieces() / Shape::kBlockPieces * T::kBytes; }
  __device__ uint32_t part() const { return part_; }
  __device__ uint32_t row() const { return row_; }
  __device__ bool starts_row() const { return left_ == pieces_; }

  __device__ void next() {
    strip_ += bytes();
    left_ -= pieces();
    if (left_ != 0) return;
    left_ = pieces_;
    if (args_.group.kind == ProductKind::gated && part_ == 0) {
      part_ = 1;
      strip_ = row_start();
      return;
    }
    index_ += gridDim.x * (blockDim.x / kWarp);
    seek();
  }

 private:
  __device__ void seek() {
    const ProductGroup& group = args_.group;
    part_ = 0;
    row_ = index_;
    if (group.kind != ProductKind::gated) {
#pragma unroll
      for (uint32_t i = 0; i < 2; ++i) {
        if (part_ == i && i + 1 < group.part_count && row_ >= group.parts[i].rows) {
          row_ -= group.parts[i].rows;
          part_ = i + 1;
        }
      }
    }
    strip_ = row_start();
  }
  __device__ const uint8_t* row_start() const {
    const ProductGroup& group = args_.group;
    return group.parts[part_].weights + static_cast<size_t>(row_) * (group.cols / T::kBlock * T::kBytes);
  }

  const VectorArgs& args_;
  uint32_t index_, pieces_, left_;
  uint32_t part_ = 0, row_ = 0;
  const uint8_t* strip_ = nullptr;
};

__device__ inline int int16_of(uint32_t sums, int half) { return static_cast<int16_t>(sums >> (16 * half)); }

/** Piece s of a block times the activations' codes, as a multiple of their scale. */
template <class T>
__device__ float piece_product(const uint8_t* block, uint32_t s, const int4& low, const int4& high, uint32_t sums) {
  const int codes[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
  int dots[2] = {};
  if constexpr (requires { T::dot(block, s, codes); }) {
    dots[0] = T::dot(block, s, codes);
  } else {
    uint32_t words[8];
    piece_codes<T>(block, s, words);
#pragma unroll
    for (int i = 0; i < 8; ++i) dots[i / 4] = __dp4a(static_cast<int>(words[i]), codes[i], dots[i / 4]);
  }
  if constexpr (T::kBlock == 32) {
    const int sum = static_cast<int>(sums);
    const float product = T::scale(block) * static_cast<float>(dots[0] + dots[1] - T::kZero * sum);
    if constexpr (T::kHasMin) {
      return product - T::min(block) * static_cast<float>(sum);
    } else {
      return product;
    }
  } else if constexpr (T::kSub == 32) {
    const auto [scale, min] = T::scale_of(block, s);
    return T::d(block) * static_cast<float>(scale * (dots[0] + dots[1])) -
           T::dmin(block) * static_cast<float>(min * static_cast<int>(sums));
  } else {
    const uint32_t half = s >> 2, word = s >> 1 & 1, shift = 16 * (s & 1);
    const uint32_t scales = T::scale_word(block, half, word) >> shift;
    const int first = static_cast<int>(scales & 255) - T::kScaleBias;
    const int second = static_cast<int>(scales >> 8 & 255) - T::kScaleBias;
    const int low_sum = int16_of(sums, 0), high_sum = int16_of(sums, 1);
    const int dot = first * (dots[0] - T::kZero * low_sum) + second * (dots[1] - T::kZero * high_sum);
    const float product = T::d(block) * static_cast<float>(dot);
    if constexpr (T::kHasMin) {
      const uint32_t mins = T::min_word(block, half, word) >> shift;
      const int min = static_cast<int>(mins & 255) * low_sum + static_cast<int>(mins >> 8 & 255) * high_sum;
      return product - T::dmin(block) * static_cast<float>(min);
    } else {
      return product;
    }
  }
}

/** A stage times the activations from piece `first` on: this lane's part of the sum. */
template <class T>
__device__ float stage_product(const uint8_t* strip, const VectorInput& input, uint32_t first, uint32_t count) {
  using Shape = VectorShape<T>;
  const uint32_t lane = threadIdx.x % kWarp;
  float sum = 0;
  const auto add = [&](uint32_t piece) {
    const uint32_t at = first + piece;
    const uint8_t* const block = strip + piece / Shape::kBlockPieces * T::kBytes;
    const uint32_t sums = Shape::kSums ? input.sums[at] : 0;
    const float product = piece_product<T>(block, piece % Shape::kBlockPieces, input.low[at], input.high[at], sums);
    sum += input.scales[at / Shape::kBlockPieces] * product;
  };
  if (count == Shape::kPieces) {
#pragma unroll
    for (uint32_t i = 0; i < Shape::kPieces; i += kWarp) add(i + lane);
  } else {
    for (uint32_t piece = lane; piece < count; piece += kWarp) add(piece);
  }
  return sum;
}

/** Where a thread's share of a row of activations, or of the norm's weights, begins for piece `piece`. */
__device__ inline const float4* share_of(const float* row, uint32_t piece) {
  return reinterpret_cast<const float4*>(row) + 8 * piece + threadIdx.x % 4;
}

/** The norm's weights of a thread's first piece, on their way before the input is there. */
struct NormShare {
  float4 low = {}, high = {};
  __device__ explicit NormShare(const ProductGroup& group) {
    if (group.norm == nullptr || threadIdx.x / 4 >= group.cols / 32) return;
    low = __ldg(share_of(group.norm, threadIdx.x / 4));
    high = __ldg(share_of(group.norm, threadIdx.x / 4) + 4);
  }
};

/** A thread's share of some pieces, all of whose loads are under way at once. */
template <class T>
class InputBatch {
  static constexpr uint32_t kBatch = 2;

 public:
  /** Pieces of the block's threads from `first` on, four threads each. */
  __device__ InputBatch(const ProductGroup& group, uint32_t first) : pieces_(group.cols / 32), first_(first) {
#pragma unroll
    for (uint32_t i = 0; i < kBatch; ++i) {
      low_[i] = high_[i] = make_float4(0, 0, 0, 0);
      if (piece(i) >= pieces_) continue;
      // Past L1, which may hold what an earlier kernel read here.
      low_[i] = __ldcg(share_of(group.input, piece(i)));
      high_[i] = __ldcg(share_of(group.input, piece(i)) + 4);
    }
  }
  static __device__ uint32_t size() { return kBatch * blockDim.x / 4; }

  /** Rounds them into shared memory and returns the sum of their squares. `share`: the norm's weights, of the first batch. */
  template <bool kFirst>
  __device__ float round(const float* norm, const NormShare& share, const VectorInput& rounded) {
    float squares = 0;
#pragma unroll
    for (uint32_t i = 0; i < kBatch; ++i) {
      if (first_ + i * blockDim.x / 4 >= pieces_) break;  // the same for all threads: whole warps take part in shuffles
      squares += square_sum(low_[i]) + square_sum(high_[i]);
      if (norm != nullptr && kFirst && i == 0) {
        low_[i] = times(low_[i], share.low);
        high_[i] = times(high_[i], share.high);
      } else if (norm != nullptr && piece(i) < pieces_) {
        low_[i] = times(low_[i], __ldg(share_of(norm, piece(i))));
        high_[i] = times(high_[i], __ldg(share_of(norm, piece(i)) + 4));
      }
      const RoundedShare codes = round_share<VectorShape<T>::kForm>(low_[i], high_[i]);
      if (piece(i) < pieces_) store(piece(i), codes, rounded);
    }
    return squares;
  }

 private:
  __device__ uint32_t piece(uint32_t i) const { return first_ + (i * blockDim.x + threadIdx.x) / 4; }
  static __device__ void store(uint32_t piece, const RoundedShare& share, const VectorInput& rounded) {
    const uint32_t t = threadIdx.x % 4;
    reinterpret_cast<uint32_t*>(rounded.low + piece)[t] = share.low;
    reinterpret_cast<uint32_t*>(rounded.high + piece)[t] = share.high;
    if (t != 0) return;
    rounded.sums[piece] = VectorShape<T>::kSplitSums
                              ? (share.sum_low & 0xffff) | static_cast<uint32_t>(share.sum_high) << 16
                              : static_cast<uint32_t>(share.sum_low + share.sum_high);
    constexpr uint32_t kScaled = VectorShape<T>::kBlockPieces;
    if (piece % kScaled == 0) rounded.scales[piece / kScaled] = share.scale;
  }

  uint32_t pieces_, first_;
  float4 low_[kBatch], high_[kBatch];
};

/** Rounds the input into shared memory. Returns the factor that an rms-norm in front gives to all results. */
template <class T>
__device__ float round_input(const ProductGroup& group, const NormShare& norm, const VectorInput& rounded,
                             float* partial_squares) {
  float squares = InputBatch<T>(group, 0).template round<true>(group.norm, norm, rounded);
  for (uint32_t first = InputBatch<T>::size(); first < group.cols / 32; first += InputBatch<T>::size()) {
    squares += InputBatch<T>(group, first).template round<false>(group.norm, norm, rounded);
  }
  if (group.norm != nullptr) {
    squares = warp_sum(squares);
    if (threadIdx.x % kWarp == 0) partial_squares[threadIdx.x / kWarp] = squares;
  }
  __syncthreads();
  if (group.norm == nullptr) return 1.0f;
  float sum = 0;
  for (uint32_t i = 0; i < blockDim.x / kWarp; ++i) sum += partial_squares[i];
  return 1.0f / sqrtf(sum / static_cast<float>(group.cols) + group.norm_eps);
}

/** Fetches the norm's weights into L2, ahead of all the weights that the ring asks for. */
__device__ inline void fetch_norm(const ProductGroup& group) {
  if (group.norm == nullptr) return;
  for (uint32_t i = 32 * threadIdx.x; i < group.cols; i += 32 * blockDim.x) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(group.norm + i));
  }
}

/** Adds bias and residual, or applies the gate, and stores: the work of one lane. */
class VectorResults {
 public:
  __device__ explicit VectorResults(const ProductGroup& group) : group_(group) {}

  /** Fetches what the result of a row is added to. */
  __device__ void begin(uint32_t part, uint32_t row) {
    const float* const bias = group_.parts[part].bias;
    is_up_ = group_.kind == ProductKind::gated && part == 1;
    out_ = group_.parts[is_up_ ? 0 : part].out + row;
    added_ = bias != nullptr ? bias[row] : 0.0f;
    if (group_.kind == ProductKind::accumulate) added_ += __ldcg(out_);
  }

  __device__ void end(float sum) {
    const float value = sum + added_;
    if (group_.kind != ProductKind::gated) {
      *out_ = value;
    } else if (is_up_) {
      *out_ = silu(gate_) * value;
    } else {
      gate_ = value;
    }
  }

 private:
  const ProductGroup& group_;
  float* out_ = nullptr;
  float added_ = 0, gate_ = 0;
  bool is_up_ = false;
};

template <class T>
__global__ void __launch_bounds__(kVectorWarps* kWarp, kVectorResident)
    product_vector(const __grid_constant__ VectorArgs args) {
  using Ring = typename VectorShape<T>::Ring;
  extern __shared__ __align__(128) uint8_t shared[];
  __shared__ float partial_squares[kVectorWarps];
  const ProductGroup& group = args.group;
  fetch_norm(group);
  // The shuffle tells the compiler that it is the same for all lanes.
  const uint32_t warp = __shfl_sync(0xffffffff, threadIdx.x / kWarp, 0), lane = threadIdx.x % kWarp;
  const VectorInput input(shared, group.cols / 32);
  uint8_t* const rings = shared + VectorInput::bytes(group.cols / 32);
  uint64_t* const barriers = reinterpret_cast<uint64_t*>(rings + blockDim.x / kWarp * args.stages * Ring::kStageBytes);
  Ring ring(rings + warp * args.stages * Ring::kStageBytes, barriers + warp * args.stages, args.stages);

  // Blocks first: where the rows do not go round, all blocks have some more.
  const uint32_t worker = warp * gridDim.x + blockIdx.x;
  VectorWalk<T> ahead(args, worker), here(args, worker);
  const auto load_next = [&] {
    ring.load(ahead.strip(), ahead.bytes());
    ahead.next();
  };
  for (uint32_t i = 0; i < args.stages && !ahead.done(); ++i) load_next();
  let_next_begin();
  const NormShare norm(group);

  wait_for_previous();
  const float factor = round_input<T>(group, norm, input, partial_squares);
  VectorResults results(group);
  float sum = 0;
  while (!here.done()) {
    if (lane == 0 && here.starts_row()) results.begin(here.part(), here.row());
    const uint8_t* const strip = ring.wait() + offset_16(here.strip());
    sum += stage_product<T>(strip, input, here.first(), here.pieces());
    ring.release();
    if (!ahead.done()) load_next();
    here.next();
    if (!here.starts_row()) continue;
    sum = warp_sum(sum);
    if (lane == 0) results.end(sum * factor);
    sum = 0;
  }
}

template <class T>
bool launch_vector(const ProductGroup& group, const DeviceTraits& device, cudaStream_t stream) {
  using Ring = typename VectorShape<T>::Ring;
  const size_t input = VectorInput::bytes(group.cols / 32);
  const uint32_t warps = vector_warps(device);
  const size_t stage = warps * (Ring::kStageBytes + sizeof(uint64_t));
  const size_t half = half_shared(device), more = half / 20;
  size_t shared = group.behind_attention ? half + more : half - more;
  if (device.major < 9 || input + stage > shared) shared = device.shared_per_block_optin - 1536;
  if (input + stage > shared) return false;
  const uint32_t stages = static_cast<uint32_t>((shared - input) / stage);
  const uint32_t rows = group.kind == ProductKind::gated ? group.parts[0].rows : group.matrix_rows();
  launch_kernel(product_vector<T>, VectorArgs{group, stages, rows},
                {dim3(static_cast<unsigned>(device.multiprocessors)), warps * kWarp, shared}, device, stream);
  return true;
}

}  // namespace ntx::cuda
