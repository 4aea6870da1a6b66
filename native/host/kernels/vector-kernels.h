// The inner loops of the ops other than products, one table per instruction set. The loops are written once over simd.h
// (vector-kernels-impl.h) and compiled once per table; <op>.cc divides the work and calls them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ntx {

/// Positions of one split of attention. Part of the result's definition: sums run over a split, then over the splits.
constexpr int64_t kSplitPositions = 256;
/// Queries (rows x heads that share a kv head) of one call of attend_split.
constexpr int64_t kMaxQueries = 32;

/// Queries against positions [begin, end) of one split; `first` is the split's start.
struct AttentionSplit {
  const float* query[kMaxQueries];     // head_dim values each
  int64_t visible_begin[kMaxQueries];  // positions that a query may see: [visible_begin, visible_end)
  int64_t visible_end[kMaxQueries];
  int64_t queries;
  const uint16_t *k, *v;  // f16 [position][head_dim] of the slot and kv head
  const uint16_t* next;   // what the caller will have read next, `k` of another split as a rule; or null
  int64_t first, begin, end;
  int64_t head_dim;
  float scale;  // > 0
  // Out, partial_floats(head_dim) each; without meaning where a query sees nothing of the split.
  float* partial[kMaxQueries];
  uint8_t* scratch;  // attend_split_scratch(head_dim) bytes, 64-byte aligned
};

/// A partial result: max of the scores, sum of e^(score - max), from kPartialHeader on the sums of e^(score - max) * v.
constexpr int64_t kPartialHeader = 16;
constexpr int64_t padded_head(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }
constexpr int64_t partial_floats(int64_t head_dim) { return kPartialHeader + padded_head(head_dim); }

/// Positions of K or V that are converted to f32 at a time, to stay in the first-level cache.
constexpr int64_t kTilePositions = 32;
/// Floats from one query's scores to the next's: a split and room for the last group of four to overshoot.
constexpr int64_t kScoreStride = kSplitPositions + 16;
constexpr size_t attend_split_scratch(int64_t head_dim) {
  return sizeof(float) *
         static_cast<size_t>(kMaxQueries * kScoreStride + (kTilePositions + kMaxQueries) * padded_head(head_dim));
}

struct VectorKernels {
  const char* name;  // as cpu_variant() gives it
  void (*rms_norm)(const float* in, const float* weight, float* out, int64_t width, float eps);
  void (*to_f16)(const float* in, uint16_t* out, int64_t count);
  void (*attend_split)(const AttentionSplit& split);
  /// The maximum of each `block` values (a multiple of 16; the last block may be shorter), NaNs left out.
  void (*block_max)(const float* values, int64_t count, int64_t block, float* out);
  /// sum of exp(value - shift), in an order that depends on `count` alone.
  double (*sum_exp)(const float* values, int64_t count, float shift);
  /// Reads every byte with the widest loads: what memory can deliver. The result keeps the compiler honest.
  uint64_t (*read_all)(const uint8_t* bytes, size_t count);
};

const VectorKernels& portable_vector_kernels();
#if defined(__x86_64__)
const VectorKernels& avx2_vector_kernels();
const VectorKernels& avx512_vector_kernels();
#endif

/// The table of the variant in use (cpu-variant.h).
const VectorKernels& vector_kernels();

}  // namespace ntx
