// Products with weights that are not quantised, in f32 throughout: up to 16 activation rows by plain sums, more on the
// tensor cores in tf32, where f32 values go in as two parts whose products are added.
#include "product-tiles.cuh"

namespace ntx::cuda {

namespace {

struct F32 {
  static constexpr uint32_t kBytes = 4;
  static constexpr bool kExactTf32 = false;
  static __device__ void widen(const uint4& raw, float* out) {
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = __uint_as_float(words[i]);
  }
  static __device__ float one(const uint8_t* row, uint32_t i) { return reinterpret_cast<const float*>(row)[i]; }
};

/** The 2 bytes of element i, from the word that holds them: rows may start on any even address. */
__device__ inline uint32_t half_word(const uint8_t* row, uint32_t i) {
  const uint32_t odd = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(row) / 2 + i) & 1;
  const uint32_t word = *reinterpret_cast<const uint32_t*>(row + 2 * i - 2 * odd);
  return odd != 0 ? word >> 16 : word & 0xffff;
}

struct F16 {
  static constexpr uint32_t kBytes = 2;
  static constexpr bool kExactTf32 = true;
  static __device__ float value(uint32_t bits) { return __half2float(__ushort_as_half(static_cast<uint16_t>(bits))); }
  static __device__ void widen(const uint4& raw, float* out) {
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) out[i] = value(words[i / 2] >> (16 * (i % 2)) & 0xffff);
  }
  static __device__ float one(const uint8_t* row, uint32_t i) { return value(half_word(row, i)); }
};

struct BF16 {
  static constexpr uint32_t kBytes = 2;
  static constexpr bool kExactTf32 = true;
  static __device__ void widen(const uint4& raw, float* out) {
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      out[i] = __uint_as_float(i % 2 == 0 ? words[i / 2] << 16 : words[i / 2] & 0xffff0000);
    }
  }
  static __device__ float one(const uint8_t* row, uint32_t i) { return __uint_as_float(half_word(row, i) << 16); }
};

/** Whether all rows of weights and activations start on 16 bytes and hold whole groups of them. */
template <class W>
bool rows_on_16(uint32_t cols) {
  return cols % (16 / W::kBytes) == 0;
}

// ---- up to 16 rows ----

struct FloatArgs {
  ProductGroup group;
  bool on_16;
};

constexpr uint32_t kRowWarps = 8;
constexpr uint32_t kFewColumns = 4;

/** Two rows of weights that a warp takes at once: gate and up, or neighbours. */
struct RowPair {
  const uint8_t* rows[2];
  uint32_t part, row;  // of the first; the second is the next row, or the same of up
  bool both;
};

template <class W>
__device__ RowPair row_pair(const ProductGroup& group, uint32_t pair) {
  const size_t row_bytes = static_cast<size_t>(group.cols) * W::kBytes;
  if (group.kind == ProductKind::gated) {
    return {{group.parts[0].weights + pair * row_bytes, group.parts[1].weights + pair * row_bytes}, 0, pair, true};
  }
  uint32_t part = 0;
  while (part + 1 < group.part_count && pair >= (group.parts[part].rows + 1) / 2) {
    pair -= (group.parts[part++].rows + 1) / 2;
  }
  const uint32_t row = 2 * pair, second = min(row + 1, group.parts[part].rows - 1);
  const uint8_t* const weights = group.parts[part].weights;
  return {{weights + row * row_bytes, weights + second * row_bytes}, part, row, second != row};
}

template <class W, int kColumns>
__device__ void add_products(float (&sums)[2][kColumns], const RowPair& pair, const float* const (&inputs)[kColumns],
                             uint32_t cols, bool on_16) {
  const uint32_t lane = threadIdx.x % kWarp;
  if (!on_16) {
    for (uint32_t i = lane; i < cols; i += kWarp) {
      for (int r = 0; r < 2; ++r) {
        const float weight = W::one(pair.rows[r], i);
#pragma unroll
        for (int c = 0; c < kColumns; ++c) sums[r][c] += weight * __ldcg(inputs[c] + i);
      }
    }
    return;
  }
  constexpr uint32_t kWide = 16 / W::kBytes;
#pragma unroll(kColumns == 1 ? 4 : 1)
  for (uint32_t i = lane; i < cols / kWide; i += kWarp) {
    float weights[2][kWide];
#pragma unroll
    for (int r = 0; r < 2; ++r) W::widen(__ldcs(reinterpret_cast<const uint4*>(pair.rows[r]) + i), weights[r]);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
#pragma unroll
      for (uint32_t q = 0; q < kWide / 4; ++q) {
        const float4 x = __ldcg(reinterpret_cast<const float4*>(inputs[c]) + i * (kWide / 4) + q);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          sums[r][c] += weights[r][4 * q] * x.x + weights[r][4 * q + 1] * x.y;
          sums[r][c] += weights[r][4 * q + 2] * x.z + weights[r][4 * q + 3] * x.w;
        }
      }
    }
  }
}

template <class W, int kColumns>
__global__ void __launch_bounds__(kRowWarps* kWarp) product_float_rows(const __grid_constant__ FloatArgs args) {
  const ProductGroup& group = args.group;
  let_next_begin();
  wait_for_previous();
  const uint32_t first = blockIdx.y * kColumns;
  const float* inputs[kColumns];
#pragma unroll
  for (int c = 0; c < kColumns; ++c) {
    inputs[c] = group.input + static_cast<size_t>(min(first + c, group.rows - 1)) * group.cols;
  }
  const bool gated = group.kind == ProductKind::gated;
  uint32_t pairs = 0;
  for (uint32_t i = 0; i < group.part_count; ++i) pairs += (group.parts[i].rows + 1) / 2;
  if (gated) pairs = group.parts[0].rows;
  for (uint32_t i = blockIdx.x * kRowWarps + threadIdx.x / kWarp; i < pairs; i += gridDim.x * kRowWarps) {
    const RowPair pair = row_pair<W>(group, i);
    float sums[2][kColumns] = {};
    add_products<W, kColumns>(sums, pair, inputs, group.cols, args.on_16);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      float values[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const ProductPart& part = group.parts[gated ? r : pair.part];
        const uint32_t row = gated ? pair.row : min(pair.row + r, part.rows - 1);
        values[r] = warp_sum(sums[r][c]) + (part.bias != nullptr ? part.bias[row] : 0.0f);
      }
      if (threadIdx.x % kWarp != 0 || first + c >= group.rows) continue;
      const ProductPart& part = group.parts[pair.part];
      float* const out = part.out + static_cast<size_t>(first + c) * part.rows + pair.row;
      if (gated) {
        *out = silu(values[0]) * values[1];
        continue;
      }
      for (int r = 0; r < (pair.both ? 2 : 1); ++r) {
        out[r] = group.kind == ProductKind::accumulate ? __ldcg(out + r) + values[r] : values[r];
      }
    }
  }
}

// ---- more rows ----

constexpr uint32_t kDepth = 32;  // weights of a row in shared memory at a time
/** Floats from row to row there: lanes (g, t) read word 36 g + t, each from its own bank. */
constexpr uint32_t kDepthStride = kDepth + 4;

/** The two largest parts of a value that are tf32: 22 bits of it. */
struct Tf32Parts {
  uint32_t high, low;
};

__device__ inline uint32_t round_tf32(float value) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

__device__ inline Tf32Parts tf32_parts(float value) {
  const uint32_t high = round_tf32(value);
  return {high, round_tf32(value - __uint_as_float(high))};
}

__device__ inline void multiply_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/** A thread's share of a step: 16 weights of one row, 8 activations of one column. */
template <class W>
class FloatStep {
 public:
  __device__ FloatStep(const FloatArgs& args) : cols_(args.group.cols), on_16_(args.on_16) {
    const ProductGroup& group = args.group;
    const StripPlace place = strip_place(group, blockIdx.y, threadIdx.x / 2);
    const ProductPart& part = group.parts[place.part];
    weights_ = part.weights + static_cast<size_t>(min(place.row, part.rows - 1)) * group.cols * W::kBytes;
    const uint32_t column = min(blockIdx.x * kTileColumns + threadIdx.x / 4, group.rows - 1);
    input_ = group.input + static_cast<size_t>(column) * group.cols;
  }

  __device__ void load(uint32_t first) {
    const uint32_t w = first + 16 * (threadIdx.x % 2), x = first + 8 * (threadIdx.x % 4);
    constexpr uint32_t kWide = 16 / W::kBytes;
#pragma unroll
    for (uint32_t i = 0; i < 16; i += kWide) {
      if (on_16_ && w + i + kWide <= cols_) {
        W::widen(*reinterpret_cast<const uint4*>(weights_ + (w + i) * W::kBytes), held_weights_ + i);
      } else {
        for (uint32_t k = i; k < i + kWide; ++k) held_weights_[k] = w + k < cols_ ? W::one(weights_, w + k) : 0.0f;
      }
    }
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) held_input_[i] = x + i < cols_ ? __ldcg(input_ + x + i) : 0.0f;
  }

  __device__ void store(float* weights, float* columns) const {
    float* const w = weights + threadIdx.x / 2 * kDepthStride + 16 * (threadIdx.x % 2);
    float* const x = columns + threadIdx.x / 4 * kDepthStride + 8 * (threadIdx.x % 4);
#pragma unroll
    for (int i = 0; i < 16; ++i) w[i] = held_weights_[i];
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = held_input_[i];
  }

 private:
  const uint8_t* weights_;
  const float* input_;
  uint32_t cols_;
  bool on_16_;
  float held_weights_[16], held_input_[8];
};

template <class W>
__device__ void add_step(float (&sums)[8][4], const float* weights, const float* columns) {
  const uint32_t warp = threadIdx.x / kWarp, g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
  float d[8][4] = {};
#pragma unroll
  for (uint32_t k = t; k < kDepth; k += 8) {
    const float* const row = weights + (16 * warp + g) * kDepthStride + k;
    const float values[4] = {row[0], row[8 * kDepthStride], row[4], row[8 * kDepthStride + 4]};
    uint32_t high[4], low[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Tf32Parts parts = tf32_parts(values[i]);
      high[i] = parts.high;
      low[i] = parts.low;
    }
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      const float* const column = columns + (8 * n + g) * kDepthStride + k;
      const Tf32Parts b0 = tf32_parts(column[0]), b1 = tf32_parts(column[4]);
      if constexpr (!W::kExactTf32) multiply_tf32(d[n], low, b0.high, b1.high);
      multiply_tf32(d[n], high, b0.low, b1.low);
      multiply_tf32(d[n], high, b0.high, b1.high);
    }
  }
  // The tensor cores' sums are cut, not rounded: only a step's are theirs.
#pragma unroll
  for (int n = 0; n < 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[n][i] += d[n][i];
  }
}

template <class W>
__global__ void __launch_bounds__(kTileThreads) product_float_tiles(const __grid_constant__ FloatArgs args) {
  __shared__ float shared[(kTileStrips + kTileColumns) * kDepthStride];
  float* const columns = shared + kTileStrips * kDepthStride;
  let_next_begin();
  wait_for_previous();
  FloatStep<W> step(args);
  step.load(0);
  float sums[8][4] = {};
  for (uint32_t first = 0; first < args.group.cols; first += kDepth) {
    __syncthreads();
    step.store(shared, columns);
    __syncthreads();
    if (first + kDepth < args.group.cols) step.load(first + kDepth);
    add_step<W>(sums, shared, columns);
  }
  store_sums(args.group, sums, shared);
}

template <class W>
void launch_type(const ProductGroup& group, const DeviceTraits& device, cudaStream_t stream) {
  const FloatArgs args{group, rows_on_16<W>(group.cols)};
  if (group.rows > 16) {
    const dim3 grid((group.rows + kTileColumns - 1) / kTileColumns, all_row_blocks(group));
    return launch_kernel(product_float_tiles<W>, args, {grid, kTileThreads, 0}, device, stream);
  }
  uint32_t pairs = 0;
  for (uint32_t i = 0; i < group.part_count; ++i) pairs += (group.parts[i].rows + 1) / 2;
  if (group.kind == ProductKind::gated) pairs = group.parts[0].rows;
  const uint32_t columns = group.rows == 1 ? 1 : kFewColumns;
  const dim3 grid(min((pairs + kRowWarps - 1) / kRowWarps, 8u * device.multiprocessors),
                  (group.rows + columns - 1) / columns);
  const Launch how{grid, kRowWarps * kWarp, 0};
  const auto kernel = columns == 1 ? product_float_rows<W, 1> : product_float_rows<W, kFewColumns>;
  launch_kernel(kernel, args, how, device, stream);
}

}  // namespace

void launch_float_product(Type type, const ProductGroup& group, const DeviceTraits& device, cudaStream_t stream) {
  switch (type) {
    case Type::f16: return launch_type<F16>(group, device, stream);
    case Type::bf16: return launch_type<BF16>(group, device, stream);
    default: return launch_type<F32>(group, device, stream);
  }
}

}  // namespace ntx::cuda
