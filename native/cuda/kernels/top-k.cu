// The k largest logits in two kernels. The first takes the k best of every chunk of 4096, the second the best of those, and
// sorts them. What is best is found bit by bit: the largest key that at least k keys reach. Keys order floats as integers, so
// that equal logits and NaNs have their places, and of equal keys those of lower tokens are taken.
#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "launch.cuh"

namespace ntx::cuda {

namespace {

constexpr uint32_t kChunk = 4096;
constexpr uint32_t kChunkThreads = 512;
constexpr uint32_t kMergeThreads = 1024;
constexpr uint32_t kMergeKeys = 8;  // of a thread at a time
constexpr uint32_t kBatch = kMergeThreads * kMergeKeys;
constexpr uint32_t kMaxK = 1024;

struct Arguments {
  const float* logits;  // [output][width]
  uint8_t* out;
  const StepOutput* outputs;
  uint32_t width, k, chunks;
  // [output][chunk][k] candidates in the order of their tokens, absent ones with key 0; [output][chunk] sums
  uint32_t *keys, *tokens;
  float2* sums;  // largest logit, sum of exp(logit - largest)
};

/// Larger floats have larger keys; -0 is 0, and NaN is less than everything. Never 0.
__device__ uint32_t key_of(float value) {
  if (isnan(value)) return 1;
  const uint32_t bits = __float_as_uint(value + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/// Sums over the thread block, for all of its threads; `round` alternates, so that one barrier is enough.
template <uint32_t kThreads>
__device__ uint32_t block_count(uint32_t value, uint32_t round, uint32_t (*shared)[kThreads / 32]) {
  value = __reduce_add_sync(kAllLanes, value);
  if (threadIdx.x % 32 == 0) shared[round % 2][threadIdx.x / 32] = value;
  __syncthreads();
  const uint32_t lane = threadIdx.x % 32;
  return __reduce_add_sync(kAllLanes, lane < kThreads / 32 ? shared[round % 2][lane] : 0);
}

/// The sum of the values of the threads before this one.
template <uint32_t kThreads>
__device__ uint32_t block_rank(uint32_t value, uint32_t* shared) {
  const uint32_t lane = threadIdx.x % 32;
  uint32_t sum = value;
#pragma unroll
  for (uint32_t apart = 1; apart < 32; apart *= 2) {
    const uint32_t other = __shfl_up_sync(kAllLanes, sum, apart);
    if (lane >= apart) sum += other;
  }
  __syncthreads();
  if (lane == 31) shared[threadIdx.x / 32] = sum;
  __syncthreads();
  const uint32_t before = __reduce_add_sync(kAllLanes, lane < threadIdx.x / 32 ? shared[lane] : 0);
  return before + sum - value;
}

/// Calls take(i, rank) for those of the threads' keys that are among the k largest, absent ones (0) aside. Keys of a thread,
/// and threads, are in the order of their tokens, and so are ranks.
template <uint32_t kThreads, uint32_t kKeys, class Take>
__device__ void take_largest(const uint32_t (&keys)[kKeys], uint32_t k, Take take) {
  __shared__ uint32_t counts[2][kThreads / 32];
  __shared__ uint32_t ranks[32];
  uint32_t least = 0, reached = 0;  // keys that reach `least`
  for (uint32_t bit = 32; bit-- > 0;) {
    const uint32_t candidate = least | 1u << bit;
    uint32_t count = 0;
#pragma unroll
    for (uint32_t i = 0; i < kKeys; ++i) count += keys[i] >= candidate;
    count = block_count<kThreads>(count, bit, counts);
    if (count < k) continue;
    least = candidate;
    reached = count;
    if (count == k) break;
  }
  // Fewer than k keys: all of them. More that are equal to the least: the first ones.
  const uint32_t floor = least == 0 ? 1 : least;
  uint32_t equal = 0, above = 0;
#pragma unroll
  for (uint32_t i = 0; i < kKeys; ++i) {
    equal += keys[i] == floor;
    above += keys[i] > floor;
  }
  uint32_t spare = UINT32_MAX;  // how many equal keys are taken
  if (least > 0 && reached > k) {
    __syncthreads();
    spare = k - block_count<kThreads>(above, 0, counts);
  }
  const uint32_t equal_before = block_rank<kThreads>(equal, ranks);
  const uint32_t equal_taken = equal_before >= spare ? 0 : min(equal, spare - equal_before);
  uint32_t rank = block_rank<kThreads>(above + equal_taken, ranks), left = equal_taken;
#pragma unroll
  for (uint32_t i = 0; i < kKeys; ++i) {
    const bool taken = keys[i] > floor || (keys[i] == floor && left > 0);
    if (keys[i] == floor && left > 0) --left;
    if (taken) take(i, rank++);
  }
}

/// (largest, sum of exp(value - largest)) of two sets in one.
__device__ float2 join(float2 a, float2 b) {
  const float most = fmaxf(a.x, b.x), base = most == -INFINITY ? 0.0f : most;
  return {most, a.y * expf(a.x - base) + b.y * expf(b.x - base)};
}

__device__ float2 warp_join(float2 sums) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) {
    sums = join(sums, {__shfl_xor_sync(kAllLanes, sums.x, apart), __shfl_xor_sync(kAllLanes, sums.y, apart)});
  }
  return sums;
}

__global__ void __launch_bounds__(kChunkThreads) top_k_chunks(Arguments a) {
  constexpr uint32_t kKeys = kChunk / kChunkThreads;
  __shared__ float2 sums[kChunkThreads / 32];
  wait_for_previous();
  let_next_begin();
  const uint32_t chunk = blockIdx.x, output = blockIdx.y, first = chunk * kChunk + threadIdx.x * kKeys;
  const float* logits = a.logits + static_cast<uint64_t>(output) * a.width;
  uint32_t keys[kKeys];
  float values[kKeys], most = -INFINITY, sum = 0;
#pragma unroll
  for (uint32_t i = 0; i < kKeys; ++i) {
    const bool present = first + i < a.width;
    values[i] = present ? logits[first + i] : -INFINITY;
    keys[i] = present ? key_of(values[i]) : 0;
    most = fmaxf(most, values[i]);
  }
  const float base = most == -INFINITY ? 0.0f : most;
#pragma unroll
  for (uint32_t i = 0; i < kKeys; ++i) sum += expf(values[i] - base);
  const float2 joined = warp_join({most, sum});
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = joined;
  __syncthreads();
  const uint64_t list = static_cast<uint64_t>(output) * a.chunks + chunk;
  if (threadIdx.x < 32) {
    const bool present = threadIdx.x < kChunkThreads / 32;
    const float2 all = warp_join(present ? sums[threadIdx.x] : float2{-INFINITY, 0});
    if (threadIdx.x == 0) a.sums[list] = all;
  }
  uint32_t* to_keys = a.keys + list * a.k;
  uint32_t* to_tokens = a.tokens + list * a.k;
  const uint32_t present = min(kChunk, a.width - chunk * kChunk);
  for (uint32_t i = present + threadIdx.x; i < a.k; i += kChunkThreads) to_keys[i] = 0;
  take_largest<kChunkThreads>(keys, a.k, [&](uint32_t i, uint32_t rank) {
    to_keys[rank] = keys[i];
    to_tokens[rank] = first + i;
  });
}

/// The best so far, in the order of their tokens; then sorted: key, then lower token first.
struct Best {
  uint32_t keys[kMaxK], tokens[kMaxK];
  uint64_t order[kMaxK];
};

/// The best of all chunks into s; returns how many there are.
__device__ void merge_chunks(const Arguments& a, uint32_t output, Best& s) {
  const uint32_t candidates = a.chunks * a.k;
  const uint32_t* list_keys = a.keys + static_cast<uint64_t>(output) * candidates;
  const uint32_t* list_tokens = a.tokens + static_cast<uint64_t>(output) * candidates;
  for (uint32_t i = threadIdx.x; i < kMaxK; i += kMergeThreads) s.keys[i] = 0;
  for (uint32_t next = 0, kept = 0; next < candidates; next += kBatch - kept, kept = a.k) {
    // After the first batch, what was kept comes first: its tokens are lower.
    __syncthreads();
    uint32_t keys[kMergeKeys], tokens[kMergeKeys];
#pragma unroll
    for (uint32_t i = 0; i < kMergeKeys; ++i) {
      const uint32_t at = threadIdx.x * kMergeKeys + i;
      const bool old = at < kept;
      const uint32_t from = old ? at : next + at - kept;
      const bool present = old || from < candidates;
      keys[i] = present ? (old ? s.keys[from] : list_keys[from]) : 0;
      tokens[i] = present && keys[i] != 0 ? (old ? s.tokens[from] : list_tokens[from]) : 0;
    }
    __syncthreads();
    take_largest<kMergeThreads>(keys, a.k, [&](uint32_t i, uint32_t rank) {
      s.keys[rank] = keys[i];
      s.tokens[rank] = tokens[i];
    });
  }
  __syncthreads();
}

/// Bitonic, descending; `count` is a power of two.
__device__ void sort(uint64_t* values, uint32_t count) {
  for (uint32_t size = 2; size <= count; size *= 2) {
    for (uint32_t apart = size / 2; apart > 0; apart /= 2) {
      __syncthreads();
      for (uint32_t i = threadIdx.x; i < count / 2; i += kMergeThreads) {
        const uint32_t low = 2 * i - (i & (apart - 1)), high = low + apart;
        const uint64_t a = values[low], b = values[high];
        if ((a < b) == ((low & size) == 0)) {
          values[low] = b;
          values[high] = a;
        }
      }
    }
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kMergeThreads) top_k_merge(Arguments a, uint32_t sorted) {
  __shared__ Best s;
  wait_for_previous();
  let_next_begin();
  const uint32_t output = blockIdx.x, count = min(a.k, a.width);
  merge_chunks(a, output, s);
  for (uint32_t i = threadIdx.x; i < sorted; i += kMergeThreads) {
    s.order[i] = i < count ? static_cast<uint64_t>(s.keys[i]) << 32 | (UINT32_MAX - s.tokens[i]) : 0;
  }
  sort(s.order, sorted);
  const float* logits = a.logits + static_cast<uint64_t>(output) * a.width;
  auto* out = a.out + output * (sizeof(OutputHeader) + static_cast<uint64_t>(a.k) * sizeof(Candidate));
  auto* candidates = reinterpret_cast<Candidate*>(out + sizeof(OutputHeader));
  for (uint32_t i = threadIdx.x; i < a.k; i += kMergeThreads) {
    const uint32_t token = UINT32_MAX - static_cast<uint32_t>(s.order[i]);
    candidates[i] = i < count ? Candidate{token, logits[token]} : Candidate{0, 0};
  }
  if (threadIdx.x >= 32) return;
  float2 sums{-INFINITY, 0};
  for (uint32_t i = threadIdx.x; i < a.chunks; i += 32) sums = join(sums, a.sums[output * a.chunks + i]);
  sums = warp_join(sums);
  if (threadIdx.x > 0) return;
  const uint32_t target = a.outputs[output].target;
  *reinterpret_cast<OutputHeader*>(out) = {sums.x + logf(sums.y), target == kNone ? 0.0f : logits[target], count, 0};
}

uint32_t chunks_of(int64_t width) { return static_cast<uint32_t>((width + kChunk - 1) / kChunk); }

}  // namespace

void check_top_k(const TopK& op) {
  if (op.k <= kMaxK) return;
  throw std::invalid_argument("top-k: the " + std::to_string(op.k) + " largest; the cuda backend gives at most " +
                              std::to_string(kMaxK));
}

size_t top_k_scratch_bytes(const TopK& op, uint32_t outputs) {
  const size_t lists = size_t{outputs} * chunks_of(op.width);
  return lists * (sizeof(float2) + 2 * sizeof(uint32_t) * static_cast<size_t>(op.k));
}

void launch_top_k(const TopK& op, const Pass& pass) {
  if (pass.outputs == 0) return;
  const uint32_t chunks = chunks_of(op.width), k = static_cast<uint32_t>(op.k);
  const size_t lists = size_t{pass.outputs} * chunks;
  auto* sums = reinterpret_cast<float2*>(op.scratch);
  auto* keys = reinterpret_cast<uint32_t*>(sums + lists);
  const Arguments arguments{op.in, op.out, pass.step_outputs, static_cast<uint32_t>(op.width), k, chunks, keys,
                            keys + lists * k, sums};
  launch(top_k_chunks, pass.traits, pass.stream, dim3(chunks, pass.outputs), kChunkThreads, 0, arguments);
  launch(top_k_merge, pass.traits, pass.stream, pass.outputs, kMergeThreads, 0, arguments, std::bit_ceil(k));
}

}  // namespace ntx::cuda
