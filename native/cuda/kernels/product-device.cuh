// Device functions that the kernels of a product share.
#pragma once

#include <cstdint>

#include "launch.cuh"

namespace ntx::cuda {

constexpr int kWarp = 32;

__device__ inline float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

__host__ __device__ constexpr uint32_t round_up(uint32_t value, uint32_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace ntx::cuda
