// What product-bench keeps on the device: an arena of random blocks of one type, random activations, and the products
// in double precision with how far a kernel may be from them (test/kernels/tolerance.ts has the reasons).
#pragma once

#include <cuda_runtime.h>

#include "../../native/cuda/cuda-error.h"
#include "weights.h"

namespace ntx::bench {

__device__ inline uint32_t hashed(uint64_t x) {
  x = (x ^ x >> 31) * 0x7fb5d329728ea185ull;
  x = (x ^ x >> 27) * 0x81dadef4bc2dd44dull;
  return static_cast<uint32_t>(x ^ x >> 33);
}

/** Whole blocks: random bytes, factors that make weights of some tenths. */
__global__ void fill_blocks(uint8_t* arena, size_t blocks, uint32_t block_bytes, int first_half, int second_half,
                            int exponent, uint64_t seed) {
  for (size_t b = blockIdx.x * size_t{blockDim.x} + threadIdx.x; b < blocks; b += size_t{gridDim.x} * blockDim.x) {
    uint8_t* block = arena + b * block_bytes;
    for (uint32_t i = 0; i < block_bytes; ++i) block[i] = hashed(seed + b * 256 + i) & 255;
    for (int offset : {first_half, second_half}) {
      if (offset < 0) continue;
      const uint32_t random = hashed(seed + b * 256 + 250 + (offset > first_half));
      const uint32_t half = (random & 0x83ff) | static_cast<uint32_t>(exponent - (offset > first_half ? 1 : 0)) << 10;
      block[offset] = half & 255;
      block[offset + 1] = half >> 8;
    }
  }
}

/** Floats of up to 1 in size, as f32, f16 or bf16. */
__global__ void fill_floats(uint8_t* arena, size_t count, int type, uint64_t seed) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < count; i += size_t{gridDim.x} * blockDim.x) {
    const uint32_t random = hashed(seed + i);
    const uint32_t bits = (random & 0x807fffff) | (126 - (random >> 23 & 3)) << 23;
    if (type == 0) reinterpret_cast<uint32_t*>(arena)[i] = bits;
    if (type == 30) reinterpret_cast<uint16_t*>(arena)[i] = bits >> 16;
    if (type == 1) {
      const uint32_t half = (random & 0x83ff) | (14 - (random >> 23 & 3)) << 10;
      reinterpret_cast<uint16_t*>(arena)[i] = static_cast<uint16_t>(half);
    }
  }
}

/** Near normal, with an outlier here and there as activations have them. */
__global__ void fill_activations(float* out, size_t count, uint64_t seed, float around) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < count; i += size_t{gridDim.x} * blockDim.x) {
    float sum = 0;
    for (int k = 0; k < 4; ++k) sum += hashed(seed + 4 * i + k) * 0x1p-32f - 0.5f;
    out[i] = around + sum * 1.7f * (hashed(seed + 77 * i) % 997 == 0 ? 12.0f : 1.0f);
  }
}

struct Expected {
  double value, limit;
};

struct ReferenceArgs {
  const float* input;  // [rows][cols]
  const float* norm;
  double eps;
  int rows, cols, form;
  const float *values, *magnitudes;  // [samples][cols]
  int samples;
  Expected* out;  // [rows][samples]
};

/** A block for each sample and row. */
__global__ void reference(ReferenceArgs args) {
  const float* x = args.input + size_t{blockIdx.y} * args.cols;
  const float* w = args.values + size_t{blockIdx.x} * args.cols;
  const float* magnitudes = args.magnitudes + size_t{blockIdx.x} * args.cols;
  __shared__ double totals[5];
  if (threadIdx.x < 5) totals[threadIdx.x] = 0;
  __syncthreads();
  double squares = 0;
  for (int i = threadIdx.x; i < args.cols; i += blockDim.x) squares += double{x[i]} * x[i];
  atomicAdd(&totals[4], squares);
  __syncthreads();
  const double factor = args.norm != nullptr ? 1 / sqrt(totals[4] / args.cols + args.eps) : 1;
  const int block = args.form == 0 ? 32 : args.form;
  double value = 0, terms = 0, variance = 0, worst = 0;
  for (int b = threadIdx.x; b * block < args.cols; b += blockDim.x) {
    double largest = 0, weight_squares = 0, weight_sum = 0;
    for (int i = b * block; i < min((b + 1) * block, args.cols); ++i) {
      const double xi = x[i] * factor * (args.norm != nullptr ? args.norm[i] : 1.0f);
      value += xi * w[i];
      terms += fabs(xi) * magnitudes[i];
      largest = fmax(largest, fabs(xi));
      weight_squares += double{w[i]} * w[i];
      weight_sum += fabs(w[i]);
    }
    const double s = args.form == 0 ? 0 : largest / 127;
    variance += s * s / 12 * weight_squares;
    worst += s / 2 * weight_sum;
  }
  atomicAdd(&totals[0], value);
  atomicAdd(&totals[1], terms);
  atomicAdd(&totals[2], variance);
  atomicAdd(&totals[3], worst);
  __syncthreads();
  if (threadIdx.x != 0) return;
  const double sum_error = 4 * sqrt(args.cols + 4.0) * 0x1p-24 + (args.norm != nullptr ? 16 * 0x1p-24 : 0);
  args.out[size_t{blockIdx.y} * args.samples + blockIdx.x] = {
      totals[0], fmin(6 * sqrt(totals[2]), totals[3]) + sum_error * totals[1]};
}

__global__ void read_all(const uint4* data, size_t count, uint32_t* sink) {
  uint32_t x = 0;
  const size_t stride = size_t{gridDim.x} * blockDim.x;
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i + 3 * stride < count; i += 4 * stride) {
    uint4 v[4];
    for (int k = 0; k < 4; ++k) v[k] = __ldcs(data + i + k * stride);
    for (int k = 0; k < 4; ++k) x ^= v[k].x ^ v[k].y ^ v[k].z ^ v[k].w;
  }
  if (x == 0x12345678) *sink = x;
}

/** Device memory of a bench's lifetime. */
template <class T>
T* device_array(size_t count) {
  void* memory;
  NTX_CUDA(cudaMalloc(&memory, count * sizeof(T)));
  return static_cast<T*>(memory);
}

}  // namespace ntx::bench
