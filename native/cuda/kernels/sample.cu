// One thread block: a thread for each candidate. Sums run in the order of the candidates (a scan), as the host's do.
#include "sample.h"

#include <algorithm>
#include <cmath>

#include "launch.cuh"

namespace ntx::cuda {

namespace {

constexpr uint32_t kThreads = 256;

struct Shared {
  float logits[kThreads], sorted[kThreads], sums[2][kThreads];
  uint32_t tokens[kThreads];
  uint32_t kept, chosen;
};

__device__ float penalised(const Sampling& s, const Candidate& candidate) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < s.recents; ++i) {
    if (s.recent[i].token == candidate.token) count = s.recent[i].count;
  }
  if (count == 0) return candidate.logit;
  const float repeated = candidate.logit > 0 ? candidate.logit / s.repeat : candidate.logit * s.repeat;
  return repeated - static_cast<float>(count) * s.frequency - s.presence;
}

/// Descending after penalties; ties keep their order.
__device__ void sort(const Sampling& s, const Candidate& candidate, uint32_t count, Shared& shared) {
  const uint32_t own = threadIdx.x;
  const float logit = penalised(s, candidate);
  shared.logits[own] = logit;
  shared.tokens[own] = 0;
  __syncthreads();
  if (own >= count) return;
  uint32_t rank = 0;
  for (uint32_t i = 0; i < count; ++i) rank += shared.logits[i] > logit || (shared.logits[i] == logit && i < own);
  shared.sorted[rank] = logit;
  shared.tokens[rank] = candidate.token;
}

/// Of the values of all threads up to this one.
__device__ float sum_up_to(float value, Shared& shared) {
  const uint32_t own = threadIdx.x;
  uint32_t side = 0;
  shared.sums[side][own] = value;
  for (uint32_t apart = 1; apart < kThreads; apart *= 2) {
    __syncthreads();
    value += own >= apart ? shared.sums[side][own - apart] : 0.0f;
    side ^= 1;
    shared.sums[side][own] = value;
  }
  __syncthreads();
  return value;
}

/// The place of the candidate that is drawn.
__device__ uint32_t draw(const Sampling& s, uint32_t count, Shared& shared) {
  const uint32_t own = threadIdx.x, most = s.top_k == 0 ? count : min(count, s.top_k);
  const float below = own < most ? shared.sorted[own] - shared.sorted[0] : -INFINITY;
  const float weight = expf(below), mass = sum_up_to(weight, shared);
  // All of it is all, also where f32 takes no notice of the last ones.
  const bool has_enough = s.top_p < 1 && mass - weight >= s.top_p * shared.sums[0][kThreads - 1];
  const bool is_over = has_enough || weight < s.min_p;
  if (own > 0 && own < most && is_over) atomicMin(&shared.kept, own);
  __syncthreads();
  const uint32_t kept = min(shared.kept, most);
  const float sum = sum_up_to(own < kept ? expf(below / s.temperature) : 0.0f, shared);
  if (own < kept && sum > s.random * shared.sums[0][kThreads - 1]) atomicMin(&shared.chosen, own);
  __syncthreads();
  return shared.chosen < kept ? shared.chosen : 0;
}

__global__ void __launch_bounds__(kThreads) sample(const __grid_constant__ Sampling s, uint8_t* output,
                                                   uint32_t candidates, StepRow* row) {
  __shared__ Shared shared;
  wait_for_previous();
  auto* header = reinterpret_cast<OutputHeader*>(output);
  const uint32_t count = min(header->count, candidates);
  if (threadIdx.x == 0) shared.kept = shared.chosen = kThreads;
  Candidate candidate{0, -INFINITY};
  if (threadIdx.x < count) candidate = reinterpret_cast<const Candidate*>(header + 1)[threadIdx.x];
  sort(s, candidate, count, shared);
  __syncthreads();
  const uint32_t place = s.temperature == 0 ? 0 : draw(s, count, shared);
  if (threadIdx.x > 0) return;
  const uint32_t token = min(shared.tokens[place], s.tokens - 1);
  header->drawn = token + 1;
  row->token = token;
  // The next kernel begins when this one has ended: it may read a step's rows before it waits.
  __threadfence();
}

}  // namespace

void launch_sample(const Sampling& sampling, uint8_t* output, uint32_t candidates, StepRow* row,
                   const DeviceTraits& traits, cudaStream_t stream) {
  launch(sample, traits, stream, 1, kThreads, 0, sampling, output, std::min(candidates, kThreads), row);
}

}  // namespace ntx::cuda
