// Attention of a few queries to one split of positions: scores, softmax relative to the split's own maximum, weighted
// sum of V. A query's result depends on the split alone, not on which queries come with it: scores are single dot
// products, and sums over positions run in ascending order, where one that a query may not see adds an exact zero.
#pragma once

#include "simd.h"
#include "vector-kernels.h"

namespace ntx {
namespace {

/// Up to so many queries convert K and V to f32 on the way, more of them share a converted tile.
#if defined(__F16C__) || defined(__aarch64__)
constexpr int64_t kDirectQueries = 8;
#else
constexpr int64_t kDirectQueries = 2;
#endif

template <int N>
struct Count {
  static constexpr int value = N;
};

/// Calls visit(Count<N>, first) for groups of N queries, then for the rest in groups of N / 2 and so on.
template <int N, class Visit>
inline void in_groups(int64_t first, int64_t end, Visit visit) {
  for (; first + N <= end; first += N) visit(Count<N>{}, first);
  if constexpr (N > 1) in_groups<N / 2>(first, end, visit);
}

/// Asks the second-level cache for `values` halves.
inline void prefetch(const uint16_t* from, int64_t values) {
  for (int64_t i = 0; i < values; i += 32) __builtin_prefetch(from + i, 0, 2);
}

/// out[q * kScoreStride + i] = query[q] . row[i] for Q queries and four rows of K.
template <int Q, class T>
inline void dot_rows(const float* const* query, const T* const* row, int64_t width, float* out) {
  Vec total[Q][4];
  for (int q = 0; q < Q; ++q) {
    for (int i = 0; i < 4; ++i) total[q][i] = splat(0);
  }
  for (int64_t d = 0; d < width; d += kLanes) {
    Vec keys[4];
    for (int i = 0; i < 4; ++i) keys[i] = load(row[i] + d);
    for (int q = 0; q < Q; ++q) {
      const Vec values = load(query[q] + d);
      for (int i = 0; i < 4; ++i) total[q][i] = fma(values, keys[i], total[q][i]);
    }
  }
  for (int q = 0; q < Q; ++q) sum4(total[q], out + q * kScoreStride);
}

/// Scores of `count` rows of K, `width` apart. Up to three scores past `count` are written too. On the way it asks
/// for the same rows of V: the hardware follows one stream by itself, and two together hide what computing takes.
template <class T>
inline void score(const float* const* query, int64_t queries, const T* k, int64_t count, int64_t width, float* scores,
                  const uint16_t* v) {
  constexpr int kGroup = kRegisters == 32 ? 4 : 2;  // kGroup * 4 sums, four keys and a query fit the registers
  for (int64_t i = 0; i < count; i += 4) {
    prefetch(v + i * width, 4 * width);
    const T* row[4];
    for (int64_t j = 0; j < 4; ++j) row[j] = k + (i + j < count ? i + j : count - 1) * width;
    in_groups<kGroup>(0, queries, [&](auto group, int64_t q) {
      dot_rows<decltype(group)::value>(query + q, row, width, scores + q * kScoreStride + i);
    });
  }
}

/// sum[q][d .. d + C * kLanes) += weights[q][i] * v[i][...] over `count` rows; starts from zero when `fresh`. On the way
/// it asks for the same columns of `next`, unless that is null.
template <int Q, int C, class T>
inline void weigh_rows(const float* weights, const T* v, int64_t count, int64_t width, float* const* sum, int64_t d,
                       bool fresh, const uint16_t* next) {
  Vec total[Q][C];
  for (int q = 0; q < Q; ++q) {
    for (int c = 0; c < C; ++c) total[q][c] = fresh ? splat(0) : load(sum[q] + kPartialHeader + d + c * kLanes);
  }
  for (int64_t i = 0; i < count; ++i) {
    if (next != nullptr) prefetch(next + i * width + d, C * kLanes);
    Vec values[C];
    for (int c = 0; c < C; ++c) values[c] = load(v + i * width + d + c * kLanes);
    for (int q = 0; q < Q; ++q) {
      const Vec weight = splat(weights[q * kScoreStride + i]);
      for (int c = 0; c < C; ++c) total[q][c] = fma(weight, values[c], total[q][c]);
    }
  }
  for (int q = 0; q < Q; ++q) {
    for (int c = 0; c < C; ++c) store(sum[q] + kPartialHeader + d + c * kLanes, total[q][c]);
  }
}

template <class T>
inline void weigh(const float* weights, int64_t queries, const T* v, int64_t count, int64_t width, float* const* sum,
                  bool fresh, const uint16_t* next) {
  constexpr int kChunk = kRegisters == 32 ? 4 : 2;
  in_groups<4>(0, queries, [&](auto group, int64_t q) {
    constexpr int Q = decltype(group)::value;
    const float* own = weights + q * kScoreStride;
    const uint16_t* ahead = q == 0 ? next : nullptr;
    int64_t d = 0;
    for (; d + kChunk * kLanes <= width; d += kChunk * kLanes) {
      weigh_rows<Q, kChunk>(own, v, count, width, sum + q, d, fresh, ahead);
    }
    for (; d < width; d += kLanes) weigh_rows<Q, 1>(own, v, count, width, sum + q, d, fresh, ahead);
  });
}

/// f16 rows to f32 rows of `width`, padded with zeros.
inline void widen_rows(const uint16_t* in, int64_t rows, int64_t head_dim, float* out, int64_t width) {
  for (int64_t row = 0; row < rows; ++row, in += head_dim, out += width) {
    int64_t d = 0;
    for (; d + kLanes <= head_dim; d += kLanes) store(out + d, load(in + d));
    for (; d < head_dim; ++d) out[d] = half_to_float(in[d]);
    for (; d < width; ++d) out[d] = 0;
  }
}

/// Scores to weights e^(score * scale - max) in place, zero outside [begin, end); `limit` is a multiple of kLanes.
inline void soften(float* scores, int64_t begin, int64_t end, int64_t limit, float scale, float* partial) {
  const float minus_infinity = -__builtin_inff();
  for (int64_t i = 0; i < begin; ++i) scores[i] = minus_infinity;
  for (int64_t i = end; i < limit; ++i) scores[i] = minus_infinity;
  Vec best = splat(minus_infinity);
  for (int64_t i = 0; i < limit; i += kLanes) {
    const Vec scaled = load(scores + i) * splat(scale);
    store(scores + i, scaled);
    best = max(scaled, best);
  }
  const float most = max_lane(best);
  Vec total = splat(0);
  for (int64_t i = 0; i < limit; i += kLanes) {
    const Vec weight = exp(load(scores + i) - splat(most));
    store(scores + i, weight);
    total = total + weight;
  }
  partial[0] = most;
  partial[1] = sum(total);
}

inline void attend_split(const AttentionSplit& split) {
  const int64_t width = padded_head(split.head_dim), queries = split.queries;
  float* scores = reinterpret_cast<float*>(split.scratch);
  float* tile = scores + kMaxQueries * kScoreStride;
  float* copies = tile + kTilePositions * width;
  const bool padded = width != split.head_dim;
  const float* query[kMaxQueries];
  for (int64_t q = 0; q < queries; ++q) {
    query[q] = split.query[q];
    if (!padded) continue;
    for (int64_t d = 0; d < width; ++d) copies[q * width + d] = d < split.head_dim ? query[q][d] : 0;
    query[q] = copies + q * width;
  }
  const bool direct = !padded && queries <= kDirectQueries;
  const int64_t begin = split.begin - split.first, end = split.end - split.first;
  const uint16_t *k = split.k + split.first * split.head_dim, *v = split.v + split.first * split.head_dim;
  for (int64_t i = begin; i < end; i += kTilePositions) {
    const int64_t count = end - i < kTilePositions ? end - i : kTilePositions;
    if (direct) {
      score(query, queries, k + i * width, count, width, scores + i, v + i * split.head_dim);
    } else {
      widen_rows(k + i * split.head_dim, count, split.head_dim, tile, width);
      score(query, queries, tile, count, width, scores + i, v + i * split.head_dim);
    }
  }
  const int64_t limit = (end + kLanes - 1) / kLanes * kLanes;
  for (int64_t q = 0; q < queries; ++q) {
    const int64_t from = split.visible_begin[q] - split.first, to = split.visible_end[q] - split.first;
    float* own = scores + q * kScoreStride;
    if (from < end && to > begin) {
      soften(own, from > begin ? from : begin, to < end ? to : end, limit, split.scale, split.partial[q]);
    } else {
      for (int64_t i = 0; i < limit; ++i) own[i] = 0;
    }
  }
  for (int64_t i = begin; i < end; i += kTilePositions) {
    const int64_t count = end - i < kTilePositions ? end - i : kTilePositions;
    const uint16_t* next = split.next == nullptr ? nullptr : split.next + i * split.head_dim;
    if (direct) {
      weigh(scores + i, queries, v + i * width, count, width, split.partial, i == begin, next);
    } else {
      widen_rows(v + i * split.head_dim, count, split.head_dim, tile, width);
      weigh(scores + i, queries, tile, count, width, split.partial, i == begin, next);
    }
  }
}

}  // namespace
}  // namespace ntx
