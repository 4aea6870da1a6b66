// Attention in waves: a wave computes the partial results of many (block of rows, kv head, split of positions), then,
// after a sync, combines each query's partials. Work spreads over splits as well as heads, so that one row with a long
// past keeps every worker busy; and a split's K and V are read once for all queries of a block.
#include <algorithm>
#include <cmath>

#include "kernels.h"
#include "vector-kernels.h"

namespace ntx {

namespace {

int64_t splits_of(int64_t positions) { return (positions + kSplitPositions - 1) / kSplitPositions; }

// Partials of one wave: room for every split of a full item, and enough pairs that the workers finish together.
int64_t wave_capacity(int64_t context, unsigned workers) {
  return kMaxQueries * std::max<int64_t>(splits_of(context), 16 * workers);
}

// A worker takes neighbouring splits, of which it can ask for the next while it computes one; but not so many that the
// others wait for it at the end.
constexpr int64_t kMostSplits = 8, kTakes = 8;

/// Rows [row, row + rows) of a pass, all of one slot, with query heads [head, head + heads), all of one kv head.
struct Item {
  int64_t row, rows, head, heads;
  int64_t first, last;    // positions that any of the rows sees
  int64_t split, splits;  // the splits that hold them
  int64_t queries() const { return rows * heads; }
  int64_t partials() const { return queries() * splits; }
};

/// Walks the items of a pass in order; every worker has its own, and they all see the same.
class Walk {
 public:
  Walk(const Attention& op, const Step& step) : op_(&op), step_(&step), group_(op.heads / op.kv_heads) {
    item_.heads = std::min(group_, kMaxQueries);
    start_block(0);
  }

  bool done() const { return item_.row >= step_->header->rows; }
  const Item& item() const { return item_; }

  void next() {
    const int64_t in_group = item_.head % group_ + item_.heads, group_start = item_.head - item_.head % group_;
    item_.head += item_.heads;
    item_.heads = std::min(in_group < group_ ? group_ - in_group : group_, std::min(group_, kMaxQueries));
    if (in_group >= group_ && group_start + group_ == op_->heads) start_block(item_.row + item_.rows);
  }

  int64_t visible_end(int64_t row) const { return static_cast<int64_t>(step_->rows[row].position) + 1; }
  int64_t visible_begin(int64_t row) const {
    return op_->window > 0 ? std::max<int64_t>(0, visible_end(row) - op_->window) : 0;
  }

 private:
  void start_block(int64_t row) {
    item_.row = row;
    item_.head = 0;
    if (done()) return;
    const int64_t most = std::max<int64_t>(1, kMaxQueries / item_.heads);
    const int64_t limit = std::min<int64_t>(row + most, step_->header->rows);
    item_.first = visible_begin(row);
    item_.last = visible_end(row);
    int64_t end = row + 1;
    for (; end < limit && step_->rows[end].slot == step_->rows[row].slot; ++end) {
      item_.first = std::min(item_.first, visible_begin(end));
      item_.last = std::max(item_.last, visible_end(end));
    }
    item_.rows = end - row;
    item_.split = item_.first / kSplitPositions;
    item_.splits = splits_of(item_.last) - item_.split;
  }

  const Attention* op_;
  const Step* step_;
  int64_t group_;  // query heads of one kv head
  Item item_{};
};

/// A run of items whose partials fit the scratch together.
struct Wave {
  int64_t items = 0, pairs = 0, partials = 0;  // a pair is one item with one of its splits
};

/// Moves `walk` past the wave that begins there.
Wave take_wave(Walk& walk, int64_t capacity) {
  Wave wave;
  for (; !walk.done(); walk.next()) {
    const Item& item = walk.item();
    if (wave.items > 0 && wave.partials + item.partials() > capacity) break;
    wave.items += 1;
    wave.pairs += item.splits;
    wave.partials += item.partials();
  }
  return wave;
}

/// `more`: the caller computes the item's next split after this one.
void compute_pair(const Attention& op, const Step& step, const Walk& walk, int64_t index, bool more, float* partials,
                  uint8_t* scratch) {
  const Item& item = walk.item();
  const int64_t stride = partial_floats(op.head_dim), kv_head = item.head / (op.heads / op.kv_heads);
  const int64_t cache = (step.rows[item.row].slot * op.kv_heads + kv_head) * op.context * op.head_dim;
  AttentionSplit split;
  split.queries = item.queries();
  split.k = op.k_cache + cache;
  split.v = op.v_cache + cache;
  split.first = (item.split + index) * kSplitPositions;
  split.next = more ? split.k + (split.first + kSplitPositions) * op.head_dim : nullptr;
  split.begin = std::max(split.first, item.first);
  split.end = std::min(split.first + kSplitPositions, item.last);
  split.head_dim = op.head_dim;
  split.scale = op.scale;
  split.scratch = scratch;
  for (int64_t q = 0; q < split.queries; ++q) {
    const int64_t row = item.row + q / item.heads;
    split.query[q] = op.q + (row * op.heads + item.head + q % item.heads) * op.head_dim;
    split.visible_begin[q] = walk.visible_begin(row);
    split.visible_end[q] = walk.visible_end(row);
    split.partial[q] = partials + (q * item.splits + index) * stride;
  }
  vector_kernels().attend_split(split);
}

// out = sum of e^(max_s - max) * sums_s / sum of e^(max_s - max) * total_s over the splits s of the row, in order.
void combine(const Attention& op, const Walk& walk, const float* partials) {
  const Item& item = walk.item();
  const int64_t stride = partial_floats(op.head_dim);
  for (int64_t q = 0; q < item.queries(); ++q) {
    const int64_t row = item.row + q / item.heads;
    const float* own = partials + q * item.splits * stride;
    const int64_t begin = walk.visible_begin(row) / kSplitPositions - item.split;
    const int64_t end = splits_of(walk.visible_end(row)) - item.split;
    float most = own[begin * stride];
    for (int64_t s = begin + 1; s < end; ++s) most = std::max(most, own[s * stride]);
    float* out = op.out + (row * op.heads + item.head + q % item.heads) * op.head_dim;
    std::fill_n(out, op.head_dim, 0.0f);
    float total = 0;
    for (int64_t s = begin; s < end; ++s) {
      const float* partial = own + s * stride;
      const float factor = std::exp(partial[0] - most);
      total += factor * partial[1];
      for (int64_t d = 0; d < op.head_dim; ++d) out[d] += factor * partial[kPartialHeader + d];
    }
    for (int64_t d = 0; d < op.head_dim; ++d) out[d] /= total;
  }
}

}  // namespace

size_t attention_scratch_bytes(int64_t, int64_t head_dim, int64_t context, int64_t, unsigned workers) {
  const int64_t floats = wave_capacity(context, workers) * partial_floats(head_dim);
  return workers * attend_split_scratch(head_dim) + static_cast<size_t>(floats) * sizeof(float);
}

void attention(Worker& worker, const Attention& op, const Step& step) {
  const int64_t capacity = wave_capacity(op.context, worker.count()), stride = partial_floats(op.head_dim);
  uint8_t* scratch = op.scratch + worker.index() * attend_split_scratch(op.head_dim);
  float* partials = reinterpret_cast<float*>(op.scratch + worker.count() * attend_split_scratch(op.head_dim));
  Walk start(op, step);
  while (!start.done()) {
    Walk after = start;
    const Wave wave = take_wave(after, capacity);
    int64_t index, end;

    Walk walk = start;
    int64_t pairs_before = 0, partials_before = 0;
    const int64_t grain = std::clamp<int64_t>(wave.pairs / (kTakes * worker.count()), 1, kMostSplits);
    while (worker.take(wave.pairs, grain, index, end)) {
      for (; index < end; ++index) {
        for (; index >= pairs_before + walk.item().splits; walk.next()) {
          pairs_before += walk.item().splits;
          partials_before += walk.item().partials();
        }
        const bool more = index + 1 < end && index + 1 < pairs_before + walk.item().splits;
        compute_pair(op, step, walk, index - pairs_before, more, partials + partials_before * stride, scratch);
      }
    }
    worker.sync();

    walk = start;
    int64_t items_before = 0;
    partials_before = 0;
    while (worker.take(wave.items, 1, index, end)) {
      for (; index > items_before; walk.next(), ++items_before) partials_before += walk.item().partials();
      combine(op, walk, partials + partials_before * stride);
    }
    if (!after.done()) worker.sync();
    start = after;
  }
}

}  // namespace ntx
