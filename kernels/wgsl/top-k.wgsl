// The K largest of up to CHUNK logits a workgroup, exact, ties by the lower token. Every item has a key of three parts: the
// distance from the largest logit in eighths (which spreads usual logits over the bins), the logit as an integer in its
// order, and the token, inverted. A radix select takes 8 bits of the key at a time and ends as soon as whole bins make up K;
// what comes out is a set, so the order in which invocations append to it does not matter.
// Joined behind a reduce file and top-k.order.wgsl; before top-k.logits.wgsl or top-k.chosen.wgsl, which say what the items
// are, and top-k.chunk.wgsl (the best of one chunk), top-k.result.wgsl (the result of an output) or top-k.best.wgsl (the
// same by other means, for which this is the last resort).
override K: u32;
override CHUNK: u32;
/// A power of two, K or more.
override SORTED: u32;
override CHUNKS: u32 = (WIDTH + CHUNK - 1) / CHUNK;

const BINS = 256u;
/// Rounds of 8 bits: one for the distance, four each for logit and token.
const ROUNDS = 9u;

/// What of the key is decided: the parts under the masks.
struct Prefix {
  near: u32,
  near_mask: u32,
  order: u32,
  order_mask: u32,
  early: u32,
  early_mask: u32,
  /// Items to take of those whose keys begin like this, and how many there are.
  needed: u32,
  there: u32,
}

var<workgroup> histogram: array<atomic<u32>, BINS>;
var<workgroup> above: array<u32, 2 * BINS>;
var<workgroup> prefix: Prefix;
var<workgroup> taken: atomic<u32>;
var<workgroup> orders: array<u32, SORTED>;
var<workgroup> tokens: array<u32, SORTED>;

struct Key {
  near: u32,
  order: u32,
  early: u32,
}

/// Some logits: their largest, and the sum of exp(logit - largest).
struct Sum {
  largest: f32,
  sum: f32,
}

fn key_of(order: u32, token: u32, largest: f32) -> Key {
  let near = 255u - u32(clamp((largest - logit_of(order)) * 8.0, 0.0, 255.0));
  return Key(near, order, ~token);
}

/// 1: the key is above all that begin with the prefix; 0: it begins with it; -1: below.
fn compare(key: Key) -> i32 {
  let near = key.near & prefix.near_mask;
  if (near != prefix.near) {
    return select(-1, 1, near > prefix.near);
  }
  let order = key.order & prefix.order_mask;
  if (order != prefix.order) {
    return select(-1, 1, order > prefix.order);
  }
  let early = key.early & prefix.early_mask;
  if (early != prefix.early) {
    return select(-1, 1, early > prefix.early);
  }
  return 0;
}

fn digit_of(key: Key, round: u32) -> u32 {
  if (round == 0) {
    return key.near;
  }
  let part = select(key.early, key.order, round < 5);
  return (part >> (24u - 8u * ((round - 1u) % 4u))) & 255u;
}

/// Adds the digit in which the last item to take lies to the prefix.
fn decide(round: u32, thread: u32) {
  // above[d] becomes the number of items whose digit is d or more, by doubling steps between two halves of the array.
  var half = 0u;
  if (thread < BINS) {
    above[thread] = atomicLoad(&histogram[thread]);
  }
  for (var stride = 1u; stride < BINS; stride *= 2) {
    workgroupBarrier();
    let into = BINS - half;
    if (thread < BINS) {
      var sum = above[half + thread];
      if (thread + stride < BINS) {
        sum += above[half + thread + stride];
      }
      above[into + thread] = sum;
    }
    half = into;
  }
  workgroupBarrier();
  let needed = prefix.needed;
  workgroupBarrier();
  if (thread < BINS) {
    var higher = 0u;
    if (thread + 1 < BINS) {
      higher = above[half + thread + 1];
    }
    let there = above[half + thread];
    if (higher < needed && needed <= there) {
      let shift = 24u - 8u * ((round + 3u) % 4u);
      if (round == 0) {
        prefix.near = thread;
        prefix.near_mask = 255u;
      } else if (round < 5) {
        prefix.order |= thread << shift;
        prefix.order_mask |= 255u << shift;
      } else {
        prefix.early |= thread << shift;
        prefix.early_mask |= 255u << shift;
      }
      prefix.needed = needed - higher;
      prefix.there = there - higher;
    }
  }
  workgroupBarrier();
}

/// Leaves the K best of `count` items (all where there are no more) in `orders` and `tokens`; returns how many.
fn choose(count: u32, largest: f32, thread: u32) -> u32 {
  let wanted = min(K, count);
  if (thread == 0) {
    prefix = Prefix(0, 0, 0, 0, 0, 0, wanted, count);
    atomicStore(&taken, 0u);
  }
  workgroupBarrier();
  for (var round = 0u; round < ROUNDS; round++) {
    let state = workgroupUniformLoad(&prefix);
    if (state.needed == state.there) {
      break;
    }
    if (thread < BINS) {
      atomicStore(&histogram[thread], 0u);
    }
    workgroupBarrier();
    for (var i = thread; i < count; i += THREADS) {
      let key = key_of(item_order(i), item_token(i), largest);
      if (compare(key) == 0) {
        atomicAdd(&histogram[digit_of(key, round)], 1u);
      }
    }
    workgroupBarrier();
    decide(round, thread);
  }
  for (var i = thread; i < count; i += THREADS) {
    let order = item_order(i);
    let token = item_token(i);
    if (compare(key_of(order, token, largest)) >= 0) {
      let at = atomicAdd(&taken, 1u);
      orders[at] = order;
      tokens[at] = token;
    }
  }
  workgroupBarrier();
  return wanted;
}

/// `orders` descending, ties by `tokens` ascending (a bitonic sort); places from `count` on are put last.
fn sort(count: u32, thread: u32) {
  for (var i = count + thread; i < SORTED; i += THREADS) {
    orders[i] = 0u;
    tokens[i] = 0xffffffffu;
  }
  for (var size = 2u; size <= SORTED; size *= 2) {
    for (var stride = size / 2; stride > 0; stride /= 2) {
      workgroupBarrier();
      for (var i = thread; i < SORTED / 2; i += THREADS) {
        let low = 2 * stride * (i / stride) + i % stride;
        let high = low + stride;
        let ahead = orders[high] > orders[low] || (orders[high] == orders[low] && tokens[high] < tokens[low]);
        if (ahead == ((low & size) == 0)) {
          let order = orders[low];
          let token = tokens[low];
          orders[low] = orders[high];
          tokens[low] = tokens[high];
          orders[high] = order;
          tokens[high] = token;
        }
      }
    }
  }
  workgroupBarrier();
}
