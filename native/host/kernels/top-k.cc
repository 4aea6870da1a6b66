// The k largest logits in two passes. The first takes the maximum of every block of logits: as k blocks hold k logits
// at least as large as the k-th largest of these maxima, nothing below it can be among the k. The second collects what
// is left, a little more than k logits as a rule. Candidates are ordered by (logit, lower token first) as integers, so
// that NaNs and equal logits have their places too, and the result is the same whoever collects what.
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <functional>
#include <type_traits>

#include "kernels.h"
#include "vector-kernels.h"

namespace ntx {

namespace {

constexpr int64_t kBlock = 64;
constexpr int64_t kChunk = 64 * kBlock;  // logits that a worker takes at a time, and one term of the log-sum-exp

int64_t blocks_of(int64_t width) { return (width + kBlock - 1) / kBlock; }
int64_t chunks_of(int64_t width) { return (width + kChunk - 1) / kChunk; }
int64_t list_capacity(int64_t k) { return 4 * k + kBlock; }

/// Orders floats as integers; -0 counts as 0, NaN as less than everything.
int32_t order(float logit) {
  if (std::isnan(logit)) return INT_MIN;
  const float no_minus_zero = logit + 0.0f;
  int32_t bits;
  std::memcpy(&bits, &no_minus_zero, 4);
  return bits ^ (bits >> 31 & INT_MAX);
}

struct Entry {
  int32_t order;
  uint32_t token;
};
bool before(const Entry& a, const Entry& b) { return a.order != b.order ? a.order > b.order : a.token < b.token; }

/// What one worker has collected; tokens come in ascending order.
struct List {
  int64_t count;
  Entry* entries;
};

struct Scratch {
  float* block_max;   // [blocks]
  double* chunk_sum;  // [chunks]: sum of e^(logit - chunk_max)
  float* chunk_max;   // [chunks]
  int32_t* orders;    // [workers][blocks]
  int64_t* counts;    // [workers]
  Entry* lists;       // [workers][list_capacity(k)]

  Scratch(uint8_t* bytes, int64_t width, int64_t k, unsigned workers) {
    const auto carve = [&](auto*& part, int64_t count) {
      part = reinterpret_cast<std::remove_reference_t<decltype(part)>>(reinterpret_cast<uintptr_t>(bytes) + size);
      size += (static_cast<size_t>(count) * sizeof *part + 63) / 64 * 64;
    };
    carve(block_max, blocks_of(width));
    carve(chunk_sum, chunks_of(width));
    carve(chunk_max, chunks_of(width));
    carve(orders, workers * blocks_of(width));
    carve(counts, workers);
    carve(lists, workers * list_capacity(k));
  }
  size_t size = 0;
};

void measure_chunk(const float* logits, int64_t chunk, int64_t width, const Scratch& scratch) {
  const VectorKernels& kernels = vector_kernels();
  const int64_t begin = chunk * kChunk, count = std::min(kChunk, width - begin);
  float* maxima = scratch.block_max + begin / kBlock;
  kernels.block_max(logits + begin, count, kBlock, maxima);
  const float most = *std::max_element(maxima, maxima + blocks_of(count));
  scratch.chunk_max[chunk] = most;
  // Without a logit above -infinity only NaNs can add to the sum.
  scratch.chunk_sum[chunk] = kernels.sum_exp(logits + begin, count, std::isinf(most) && most < 0 ? 0.0f : most);
}

float log_sum_exp(int64_t chunks, const Scratch& scratch) {
  const float most = *std::max_element(scratch.chunk_max, scratch.chunk_max + chunks);
  double total = 0;
  for (int64_t i = 0; i < chunks; ++i) {
    const double sum = scratch.chunk_sum[i];
    total += sum == 0 ? 0 : sum * std::exp(static_cast<double>(scratch.chunk_max[i]) - most);
  }
  return static_cast<float>(most + std::log(total));
}

/// The least order that can be among the k largest.
int32_t least_order(int64_t width, int64_t k, const Scratch& scratch, unsigned worker) {
  const int64_t blocks = blocks_of(width);
  if (blocks < k) return INT_MIN;
  int32_t* orders = scratch.orders + worker * blocks;
  std::transform(scratch.block_max, scratch.block_max + blocks, orders, order);
  std::nth_element(orders, orders + (k - 1), orders + blocks, std::greater<int32_t>());
  // A block of NaNs has -infinity for its maximum, yet nothing that large.
  return orders[k - 1] <= order(-INFINITY) ? INT_MIN : orders[k - 1];
}

/// Keeps the k best of a full list and returns the order that a later token has to reach to displace one of them.
int32_t keep_best(List& list, int64_t k, int32_t least) {
  std::nth_element(list.entries, list.entries + (k - 1), list.entries + list.count, before);
  list.count = k;
  return std::max(least, list.entries[k - 1].order + 1);
}

int32_t collect_chunk(const float* logits, int64_t chunk, int64_t width, int64_t k, int32_t least,
                      const Scratch& scratch, List& list) {
  const int64_t end = std::min(width, (chunk + 1) * kChunk);
  for (int64_t begin = chunk * kChunk; begin < end; begin += kBlock) {
    if (order(scratch.block_max[begin / kBlock]) < least) continue;
    for (int64_t token = begin; token < std::min(begin + kBlock, end); ++token) {
      const int32_t own = order(logits[token]);
      if (own >= least) list.entries[list.count++] = {own, static_cast<uint32_t>(token)};
    }
    if (list.count >= 4 * k) least = keep_best(list, k, least);
  }
  return least;
}

/// Brings all lists into the first and writes the k best with their logits.
void write_output(const float* logits, const TopK& op, const Scratch& scratch, unsigned workers, uint32_t target,
                  uint8_t* out) {
  Entry* all = scratch.lists;
  int64_t count = scratch.counts[0];
  for (unsigned i = 1; i < workers; ++i) {
    const Entry* list = scratch.lists + i * list_capacity(op.k);
    std::memmove(all + count, list, static_cast<size_t>(scratch.counts[i]) * sizeof(Entry));
    count += scratch.counts[i];
  }
  const int64_t best = std::min(op.k, op.width);
  std::partial_sort(all, all + best, all + count, before);
  const OutputHeader header{log_sum_exp(chunks_of(op.width), scratch), target == kNone ? 0.0f : logits[target],
                            static_cast<uint32_t>(best), 0};
  std::memcpy(out, &header, sizeof header);
  out += sizeof header;
  for (int64_t i = 0; i < op.k; ++i, out += sizeof(Candidate)) {
    const Candidate candidate = i < best ? Candidate{all[i].token, logits[all[i].token]} : Candidate{0, 0};
    std::memcpy(out, &candidate, sizeof candidate);
  }
}

}  // namespace

size_t top_k_scratch_bytes(int64_t width, int64_t k, unsigned workers) {
  return Scratch(nullptr, width, k, workers).size;
}

void top_k(Worker& worker, const TopK& op, const Step& step) {
  const Scratch scratch(op.scratch, op.width, op.k, worker.count());
  const int64_t chunks = chunks_of(op.width);
  for (uint32_t output = 0; output < step.header->outputs; ++output) {
    const float* logits = op.in + output * op.width;
    int64_t chunk, end;
    while (worker.take(chunks, 1, chunk, end)) measure_chunk(logits, chunk, op.width, scratch);
    worker.sync();
    int32_t least = least_order(op.width, op.k, scratch, worker.index());
    List list{0, scratch.lists + worker.index() * list_capacity(op.k)};
    while (worker.take(chunks, 1, chunk, end)) {
      least = collect_chunk(logits, chunk, op.width, op.k, least, scratch, list);
    }
    scratch.counts[worker.index()] = list.count;
    worker.sync();
    if (worker.index() == 0) {
      uint8_t* out = op.out + output * (sizeof(OutputHeader) + static_cast<size_t>(op.k) * sizeof(Candidate));
      write_output(logits, op, scratch, worker.count(), step.outputs[output].target, out);
    }
    // The next output's first pass writes what write_output reads.
    if (output + 1 < step.header->outputs) worker.sync();
  }
}

}  // namespace ntx
