// Products with few rows of activations, up to COLS: bound by reading the weights, which are decoded once for all of them.
// SPLIT threads share the GROUP = TILES * LANES weight rows of a group, each with every SPLIT-th item of them, so that
// neighbours read neighbouring bytes; their sums are added at the end, and a thread takes each result further. `accumulate` is
// in matmul.vector-f32.wgsl, matmul.vector-int8.wgsl and matmul.vector-q8_0.wgsl.

override THREADS: u32;
override SPLIT: u32;
/// Threads of a subgroup; 1 without.
override SUBGROUP: u32;

const GROUP = TILES * LANES;
const SUMS = TILES * COLS;
const GROUP_OUTS = select(GROUP, GROUP / 2u, PAIRED);

/// Groups of a workgroup.
override GROUPS: u32 = THREADS / SPLIT;
/// Results of a workgroup for each row of activations.
override OUTS: u32 = GROUPS * GROUP_OUTS;
override PARTIALS: u32 = THREADS / SUBGROUP * SUMS;
var<workgroup> partial: array<Reals, PARTIALS>;

/// The sum of one weight row of a group of this workgroup, from its threads' or subgroups'.
fn total_of(group: u32, tile: u32, lane: u32, c: u32) -> f32 {
  var total = 0.0;
  for (var s = 0u; s < SPLIT / SUBGROUP; s++) {
    total += lane_of(partial[((group * (SPLIT / SUBGROUP) + s) * COLS + c) * TILES + tile], lane);
  }
  return total;
}

/// What result `o` of a workgroup needs beside its sum.
fn before(first_group: u32, o: u32) -> Before {
  return before_of(first_group + o % OUTS / GROUP_OUTS, o % GROUP_OUTS, min(o / OUTS, counts[COUNT] - 1u));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first_group = (workgroup.x + workgroup.y * workgroups.x) * GROUPS;
  let group = first_group + thread / SPLIT;
  let factor_parts = begin_factors(thread);
  // What results are added to is on its way while the weights are.
  let first_before = before(first_group, min(thread, OUTS * COLS - 1u));
  var rows: array<Bits, TILES>;
  for (var t = 0u; t < TILES; t++) {
    for (var i = 0u; i < LANES; i++) {
      rows[t] += lane_bits(i, weight_row(group, t * LANES + i));
    }
  }
  var sums: array<Reals, SUMS>;
  var item = thread % SPLIT;
  if (PAIRS_OF_ITEMS) {
    for (; item + SPLIT < ITEMS; item += 2u * SPLIT) {
      accumulate(&sums, &rows, item);
      accumulate(&sums, &rows, item + SPLIT);
    }
  }
  for (; item < ITEMS; item += SPLIT) {
    accumulate(&sums, &rows, item);
  }
  for (var i = 0u; i < SUMS; i++) {
    let sum = subgroup_sum(sums[i]);
    if (thread % SUBGROUP == 0u) {
      partial[thread / SUBGROUP * SUMS + i] = sum;
    }
  }
  end_factors(factor_parts, thread);
  workgroupBarrier();
  for (var o = thread; o < OUTS * COLS; o += THREADS) {
    let c = o / OUTS;
    let local_group = o % OUTS / GROUP_OUTS;
    let i = o % GROUP_OUTS;
    if (c < counts[COUNT]) {
      let factor = factor_of(c);
      var v = factor * total_of(local_group, i / LANES, i % LANES, c);
      if (PAIRED) {
        v = silu(v) * (factor * total_of(local_group, i / LANES + TILES / 2u, i % LANES, c));
      }
      if (o == thread) {
        finish_with(first_group + local_group, i, c, v, first_before);
      } else {
        finish_with(first_group + local_group, i, c, v, before(first_group, o));
      }
    }
  }
  hand_on(first_group, thread);
}
