// Head norm and rotation of one head by one warp: rope-kv-write.cu for all heads of a pass, attention.cu for those that it
// reads itself. A lane holds both values of a pair, so that a head can be rotated where it lies.
#pragma once

#include <cuda_fp16.h>

#include "kernels.h"
#include "launch.cuh"

namespace ntx::cuda {

struct RopeArguments {
  float* q;
  const float *k, *v, *table, *q_norm, *k_norm;
  __half *k_cache, *v_cache;
  const StepRow* rows;
  uint32_t heads, kv_heads, head_dim, rope_dim, context;
  float eps;
  bool neox;
};

inline RopeArguments rope_arguments(const RopeKvWrite& op, const Pass& pass) {
  const auto narrow = [](int64_t value) { return static_cast<uint32_t>(value); };
  return {op.q, op.k, op.v, op.table, op.q_norm, op.k_norm, reinterpret_cast<__half*>(op.k_cache),
          reinterpret_cast<__half*>(op.v_cache), pass.step_rows, narrow(op.heads), narrow(op.kv_heads),
          narrow(op.head_dim), narrow(op.rope_dim), narrow(op.context), op.eps, op.neox};
}

/// 1 / sqrt(mean of squares + eps), or 1 without a norm.
__device__ inline float norm_factor(const float* head, const float* norm, const RopeArguments& a, uint32_t lane) {
  if (norm == nullptr) return 1;
  float squares = 0;
  for (uint32_t i = lane; i < a.head_dim; i += 32) squares += head[i] * head[i];
  return 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(a.head_dim) + a.eps);
}

/// Head norm and rotation; to[i] = value.
template <class To>
__device__ void norm_and_rotate(const float* head, const float* norm, const float* turns, const RopeArguments& a,
                                uint32_t lane, To to) {
  const float factor = norm_factor(head, norm, a, lane);
  const auto value = [&](uint32_t i) { return norm == nullptr ? head[i] : head[i] * factor * norm[i]; };
  constexpr uint32_t kBatch = 2;  // pairs of a lane that are loaded before the first result may be stored
  const uint32_t pairs = a.rope_dim / 2;
  const auto first = [&](uint32_t pair) { return a.neox ? pair : 2 * pair; };
  const auto second = [&](uint32_t pair) { return a.neox ? pair + pairs : 2 * pair + 1; };
  for (uint32_t base = lane; base < pairs; base += 32 * kBatch) {
    float2 turn[kBatch];  // cosine, sine
    float x[kBatch], y[kBatch];
#pragma unroll
    for (uint32_t i = 0; i < kBatch; ++i) {
      const uint32_t pair = min(base + 32 * i, pairs - 1);
      turn[i] = reinterpret_cast<const float2*>(turns)[pair];
      x[i] = value(first(pair));
      y[i] = value(second(pair));
    }
#pragma unroll
    for (uint32_t i = 0; i < kBatch; ++i) {
      const uint32_t pair = base + 32 * i;
      if (pair >= pairs) break;
      to(first(pair), x[i] * turn[i].x - y[i] * turn[i].y);
      to(second(pair), x[i] * turn[i].y + y[i] * turn[i].x);
    }
  }
  for (uint32_t i = a.rope_dim + lane; i < a.head_dim; i += 32) to(i, value(i));
}

/// Where a row's key and value of a head belong in the caches.
__device__ inline uint64_t cell_of(const RopeArguments& a, const StepRow& row, uint32_t kv_head) {
  return ((static_cast<uint64_t>(row.slot) * a.kv_heads + kv_head) * a.context + row.position) * a.head_dim;
}

__device__ inline void write_key(const RopeArguments& a, const StepRow& row, uint32_t r, uint32_t kv_head, uint32_t lane) {
  const float* turns = a.table + static_cast<uint64_t>(row.position) * a.rope_dim;
  __half* to = a.k_cache + cell_of(a, row, kv_head);
  const float* key = a.k + (static_cast<uint64_t>(r) * a.kv_heads + kv_head) * a.head_dim;
  norm_and_rotate(key, a.k_norm, turns, a, lane, [&](uint32_t i, float value) { to[i] = __float2half_rn(value); });
}

__device__ inline void write_value(const RopeArguments& a, const StepRow& row, uint32_t r, uint32_t kv_head, uint32_t lane) {
  __half* to = a.v_cache + cell_of(a, row, kv_head);
  const float* value = a.v + (static_cast<uint64_t>(r) * a.kv_heads + kv_head) * a.head_dim;
  for (uint32_t i = lane; i < a.head_dim; i += 32) to[i] = __float2half_rn(value[i]);
}

}  // namespace ntx::cuda
