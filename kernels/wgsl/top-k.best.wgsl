// The result of an output from the largest logits of its groups (top-k.groups.wgsl), in a workgroup that waits for memory
// three times and for few barriers: a bound from the groups' largest, one look at the groups that reach it, and a place for
// each of the few logits that do. Where too many do (ties, or the best side by side), the radix select over all logits
// finds them.
// Joined behind reduce.subgroups.wgsl, top-k.order.wgsl, top-k.cut.wgsl (QUADS is THREADS at most), top-k.wgsl,
// top-k.logits.wgsl (CHUNK is WIDTH, SORTED is THREADS), top-k.buckets.wgsl and top-k.loads-2.wgsl or top-k.loads-12.wgsl.
override MAX_ROWS: u32;
override MAX_OUTPUTS: u32;
/// Parts of a group, one logit a lane.
override PARTS: u32 = GROUP / LANES;

@group(0) @binding(1) var<storage, read> group_orders: array<vec4u>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
/// Of each output (log-sum-exp, target logit, count, 0), then K of (token, logit): src/backend/outputs.ts.
@group(0) @binding(3) var<storage, read_write> out: array<u32>;
/// The memory of group_orders, for the sums behind it.
@group(0) @binding(4) var<storage, read> group_sums: array<f32>;

const NO_TARGET = 0xffffffffu;
const LOWEST = -3.4e38;
/// Another round of buckets costs what it does to look at some more groups.
const MORE_GROUPS = 128u;

/// The bucket of the K-th largest, what it holds, and it with all that are larger.
struct Cut {
  bucket: u32,
  own: u32,
  upto: u32,
}

var<workgroup> cut: Cut;
var<workgroup> bound: atomic<u32>;
var<workgroup> listed: atomic<u32>;
var<workgroup> list: array<u32, THREADS>;
var<workgroup> spans: array<vec2u, THREADS>;
var<workgroup> sums: array<f32, SUBGROUPS>;

/// Lanes of a ballot before this one; LANES is 32 at most.
fn before(ballot: u32, lane: u32) -> u32 {
  return countOneBits(ballot & ((1u << lane) - 1u));
}

/// Lists the groups whose largest may be one of the K largest of all groups, and leaves the least of those largest in `bound`.
/// Returns how many they are; the list is cut off at its end.
fn list_groups(own: vec4u, all: vec2u, thread: u32) -> u32 {
  var open = own;
  var extremes_there = all;
  var there = 4u * QUADS;
  var above = 0u;
  var range = range_of(all.x, all.y);
  var chosen = Cut(0u, 0u, 0u);
  loop {
    for (var g = 0u; g < 4u; g++) {
      if (open[g] > 0u) {
        atomicAdd(&buckets[bucket_of(open[g], range)], 1u);
      }
    }
    let filling = fillings(thread);
    let upto = above + filling.upto;
    if (upto >= K && upto - filling.own < K) {
      cut = Cut(thread, filling.own, upto);
    }
    chosen = workgroupUniformLoad(&cut);
    // One bucket with all of them: nothing can part them.
    if (chosen.upto <= K + MORE_GROUPS || chosen.own == there) {
      break;
    }
    above = chosen.upto - chosen.own;
    there = chosen.own;
    for (var g = 0u; g < 4u; g++) {
      if (open[g] > 0u && bucket_of(open[g], range) != chosen.bucket) {
        open[g] = 0u;
      }
    }
    extremes_there = extremes_of(open, thread);
    range = range_of(extremes_there.x, extremes_there.y);
  }

  let lane = thread % LANES;
  var least = 0xffffffffu;
  var total = 0u;
  var places = vec4u();
  var reaches = vec4<bool>();
  for (var g = 0u; g < 4u; g++) {
    reaches[g] = own[g] >= extremes_there.x && bucket_of(own[g], range) <= chosen.bucket;
    least = min(least, select(0xffffffffu, own[g], reaches[g]));
    let ballot = subgroupBallot(reaches[g]).x;
    places[g] = total + before(ballot, lane);
    total += countOneBits(ballot);
  }
  let subgroup_least = subgroupMin(least);
  var start = 0u;
  if (lane == 0u && total > 0u) {
    atomicMin(&bound, subgroup_least);
    start = atomicAdd(&listed, total);
  }
  start = subgroupBroadcastFirst(start);
  for (var g = 0u; g < 4u; g++) {
    if (reaches[g] && start + places[g] < THREADS) {
      list[start + places[g]] = 4u * thread + g;
    }
  }
  workgroupBarrier();
  return chosen.upto;
}

/// This lane's token of one part of the listed groups, WIDTH or more where there is none.
fn listed_token(part: u32, lane: u32) -> u32 {
  return group_token(list[part / PARTS], (part % PARTS) * LANES + lane);
}

/// Leaves the logits of `count` listed groups that reach the bound in `orders` and `tokens`, as far as there is room. Returns
/// how many they are.
fn collect(count: u32, thread: u32) -> u32 {
  let lane = thread % LANES;
  let parts = count * PARTS;
  let least = atomicLoad(&bound);
  for (var done = 0u; done < parts; done += SUBGROUPS * LOADS) {
    let first = done + thread / LANES;
    var order = array<u32, LOADS>();
    for (var i = 0u; i < LOADS; i++) {
      let part = first + i * SUBGROUPS;
      let token = listed_token(min(part, parts - 1u), lane);
      let logit = logits[first_logit + min(token, WIDTH - 1u)];
      order[i] = select(0u, order_of(logit), part < parts && token < WIDTH);
    }
    var place = array<u32, LOADS>();
    var total = 0u;
    for (var i = 0u; i < LOADS; i++) {
      let ballot = subgroupBallot(order[i] >= least).x;
      place[i] = total + before(ballot, lane);
      total += countOneBits(ballot);
    }
    var start = 0u;
    if (lane == 0u && total > 0u) {
      start = atomicAdd(&taken, total);
    }
    start = subgroupBroadcastFirst(start);
    for (var i = 0u; i < LOADS; i++) {
      if (order[i] >= least && start + place[i] < THREADS) {
        orders[start + place[i]] = order[i];
        tokens[start + place[i]] = listed_token(first + i * SUBGROUPS, lane);
      }
    }
  }
  return workgroupUniformLoad(&taken);
}

/// Writes the K best of `count` candidates, K or more and THREADS or fewer, to their places: buckets first, then the order
/// within the bucket by looking at all that it holds.
fn write_best(count: u32, range: Range, at: u32, thread: u32) {
  let is_one = thread < count;
  let order = orders[thread];
  let token = tokens[thread];
  let bucket = bucket_of(order, range);
  var slot = 0u;
  if (is_one) {
    slot = atomicAdd(&buckets[bucket], 1u);
  }
  let filling = fillings(thread);
  spans[thread] = vec2u(filling.upto - filling.own, filling.upto);
  workgroupBarrier();
  let span = spans[bucket];
  if (is_one) {
    orders[span.x + slot] = order;
    tokens[span.x + slot] = token;
  }
  workgroupBarrier();
  if (is_one && span.x < K) {
    var place = span.x;
    for (var i = span.x; i < span.y; i++) {
      place += u32(orders[i] > order || (orders[i] == order && tokens[i] < token));
    }
    if (place < K) {
      out[at + 4u + 2u * place] = token;
      out[at + 5u + 2u * place] = bitcast<u32>(logit_of(order));
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let width = begin(group);
  let quad = group.y * QUADS + min(thread, QUADS - 1u);
  let there = thread < QUADS;
  let own = select(vec4u(), group_orders[quad], there);
  let own_sum = select(0.0, group_sums[4u * MAX_OUTPUTS * QUADS + quad], there);
  // Asked for now, needed at the end: an invocation without a candidate writes the head.
  let writes_head = thread == THREADS - 1u;
  var target_token = NO_TARGET;
  var target_logit = 0.0;
  if (writes_head) {
    target_token = step[4u + 4u * MAX_ROWS + 2u * group.y + 1u];
    target_logit = logits[first_logit + min(target_token, WIDTH - 1u)];
  }
  if (thread == 0u) {
    atomicStore(&bound, 0xffffffffu);
  }

  let all = extremes_of(own, thread);
  let largest = max(LOWEST, logit_of(all.y));
  let own_largest = max(LOWEST, logit_of(max(max(own.x, own.y), max(own.z, own.w))));
  let subgroup_sum = subgroupAdd(own_sum * exp(own_largest - largest));
  if (thread % LANES == 0u) {
    sums[thread / LANES] = subgroup_sum;
  }
  let groups = list_groups(own, all, thread);
  var count = 0u;
  if (groups >= K && groups <= THREADS) {
    count = collect(groups, thread);
  }
  if (count < K || count > THREADS) {
    count = choose(width, logit_of(clamp(all.y, LOW, HIGH)), thread);
  }
  let at = group.y * (4u + 2u * K);
  write_best(count, range_of(atomicLoad(&bound), all.y), at, thread);
  if (writes_head) {
    var sum = 0.0;
    for (var s = 0u; s < SUBGROUPS; s++) {
      sum += sums[s];
    }
    out[at] = bitcast<u32>(largest + log(sum));
    out[at + 1u] = bitcast<u32>(select(target_logit, 0.0, target_token == NO_TARGET));
    out[at + 2u] = K;
    out[at + 3u] = 0u;
  }
}
