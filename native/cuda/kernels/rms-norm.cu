// One thread block a row, which it keeps in registers between the sum of squares and the product where it fits.
#include "kernels.h"
#include "launch.cuh"

namespace ntx::cuda {

namespace {

constexpr uint32_t kMaxThreads = 1024;
constexpr uint32_t kQuads = 4;  // of a thread, in registers

struct Arguments {
  const float *in, *weight;
  float* out;
  uint32_t width;
  float eps;
};

/// The sum over the thread block, for all of its threads.
__device__ float block_sum(float value) {
  __shared__ float sums[kMaxThreads / 32];
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  return warp_sum(threadIdx.x % 32 < blockDim.x / 32 ? sums[threadIdx.x % 32] : 0.0f);
}

__device__ float factor_of(float squares, const Arguments& a) {
  return 1.0f / sqrtf(squares / static_cast<float>(a.width) + a.eps);
}

__device__ uint32_t source_row(const StepOutput* outputs) {
  return outputs == nullptr ? blockIdx.x : outputs[blockIdx.x].row;
}

__global__ void __launch_bounds__(kMaxThreads) rms_norm_quads(Arguments a, const StepOutput* outputs) {
  const uint32_t quads = a.width / 4;
  const auto* weight = reinterpret_cast<const float4*>(a.weight);
  float4 values[kQuads], factors[kQuads];
#pragma unroll
  for (uint32_t i = 0; i < kQuads; ++i) {
    const uint32_t at = threadIdx.x + i * blockDim.x;
    factors[i] = at < quads ? weight[at] : float4{};
  }
  wait_for_previous();
  let_next_begin();
  const auto* in = reinterpret_cast<const float4*>(a.in) + static_cast<uint64_t>(source_row(outputs)) * quads;
  float squares = 0;
#pragma unroll
  for (uint32_t i = 0; i < kQuads; ++i) {
    const uint32_t at = threadIdx.x + i * blockDim.x;
    const float4 v = values[i] = at < quads ? in[at] : float4{};
    squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  const float factor = factor_of(block_sum(squares), a);
  auto* out = reinterpret_cast<float4*>(a.out) + static_cast<uint64_t>(blockIdx.x) * quads;
#pragma unroll
  for (uint32_t i = 0; i < kQuads; ++i) {
    const uint32_t at = threadIdx.x + i * blockDim.x;
    const float4 v = values[i], w = factors[i];
    if (at < quads) out[at] = {v.x * factor * w.x, v.y * factor * w.y, v.z * factor * w.z, v.w * factor * w.w};
  }
}

/// Any width and alignment.
__global__ void __launch_bounds__(kMaxThreads) rms_norm_values(Arguments a, const StepOutput* outputs) {
  wait_for_previous();
  let_next_begin();
  const float* in = a.in + static_cast<uint64_t>(source_row(outputs)) * a.width;
  float* out = a.out + static_cast<uint64_t>(blockIdx.x) * a.width;
  float squares = 0;
  for (uint32_t i = threadIdx.x; i < a.width; i += blockDim.x) squares += in[i] * in[i];
  const float factor = factor_of(block_sum(squares), a);
  for (uint32_t i = threadIdx.x; i < a.width; i += blockDim.x) out[i] = in[i] * factor * a.weight[i];
}

bool is_aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % sizeof(float4) == 0; }

}  // namespace

void launch_rms_norm(const RmsNorm& op, const Pass& pass) {
  const uint32_t rows = op.select_outputs ? pass.outputs : pass.rows;
  if (rows == 0) return;
  const auto width = static_cast<uint32_t>(op.width);
  const Arguments arguments{op.in, op.weight, op.out, width, op.eps};
  const StepOutput* outputs = op.select_outputs ? pass.step_outputs : nullptr;
  const bool quads = width % 4 == 0 && width <= 4 * kQuads * kMaxThreads && is_aligned(op.in) && is_aligned(op.weight) &&
                     is_aligned(op.out);
  const uint32_t threads = std::min(kMaxThreads, ((quads ? width / 4 : width) + 31) / 32 * 32);
  launch(quads ? rms_norm_quads : rms_norm_values, pass.traits, pass.stream, rows, threads, 0, arguments, outputs);
}

}  // namespace ntx::cuda
