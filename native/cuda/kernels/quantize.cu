#include "quantize.cuh"

#include "product-launch.h"
#include "quantize.h"

namespace ntx::cuda {

namespace {

constexpr unsigned kThreads = 256;
/** A block's part of a row: four threads round a piece of 32. */
constexpr uint32_t kBlockPieces = kThreads / 4;

struct Args {
  const float* input;
  const float* norm;
  float norm_eps;
  uint32_t cols, rows;
  RoundedColumns columns;
};

__device__ const float4* share_of(const float* row, uint32_t piece) {
  return reinterpret_cast<const float4*>(row) + 8 * piece + threadIdx.x % 4;
}

__device__ float norm_factor(const Args& args, const float* row) {
  __shared__ float partial[kThreads / kWarp];
  float squares = 0;
  for (uint32_t i = threadIdx.x; i < args.cols / 4; i += kThreads) {
    squares += square_sum(__ldcg(reinterpret_cast<const float4*>(row) + i));
  }
  squares = warp_sum(squares);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = squares;
  __syncthreads();
  float sum = 0;
  for (float value : partial) sum += value;
  return 1.0f / sqrtf(sum / static_cast<float>(args.cols) + args.norm_eps);
}

template <int kForm>
__global__ void __launch_bounds__(kThreads) quantize(const __grid_constant__ Args args) {
  const uint32_t pieces = args.cols / 32, piece = blockIdx.x * kBlockPieces + threadIdx.x / 4, t = threadIdx.x % 4;
  float4 norm_low{}, norm_high{};
  if (args.norm != nullptr && piece < pieces) {
    norm_low = __ldg(share_of(args.norm, piece));
    norm_high = __ldg(share_of(args.norm, piece) + 4);
  }
  let_next_begin();
  wait_for_previous();
  const uint32_t width = args.columns.width, block = blockIdx.y / width, column = blockIdx.y % width;
  const float* row = args.input + static_cast<size_t>(blockIdx.y) * args.cols;
  float4 low{}, high{};
  if (piece < pieces) {
    low = __ldcg(share_of(row, piece));
    high = __ldcg(share_of(row, piece) + 4);
  }
  float factor = 1.0f;
  if (args.norm != nullptr) {
    factor = norm_factor(args, row);
    low = times(low, norm_low);
    high = times(high, norm_high);
  }
  const RoundedShare share = round_share<kForm>(low, high);
  if (piece >= pieces) return;
  const size_t at = (static_cast<size_t>(block) * pieces + piece) * width + column;
  reinterpret_cast<uint2*>(args.columns.codes)[4 * at + t] = make_uint2(share.low, share.high);
  if (t != 0) return;
  const float scale = share.scale * factor;
  if constexpr (kForm == 32) {
    args.columns.scales[at] = scale;
    static_cast<float*>(args.columns.sums)[at] = scale * static_cast<float>(share.sum_low + share.sum_high);
  } else {
    const size_t chunk = (static_cast<size_t>(block) * (pieces / 8) + piece / 8) * width + column;
    if (piece % 8 == 0) args.columns.scales[chunk] = scale;
    static_cast<__half2*>(args.columns.sums)[8 * chunk + piece % 8] =
        __halves2half2(__int2half_rn(share.sum_low), __int2half_rn(share.sum_high));
  }
}

}  // namespace

void launch_quantize(const ProductGroup& group, Form form, const DeviceTraits& device, cudaStream_t stream) {
  const Args args{group.input, group.norm, group.norm_eps, group.cols, group.rows, group.columns};
  const Launch launch{dim3((group.cols / 32 + kBlockPieces - 1) / kBlockPieces, group.rows), kThreads, 0};
  launch_kernel(form == 32 ? quantize<32> : quantize<256>, args, launch, device, stream);
}

}  // namespace ntx::cuda
