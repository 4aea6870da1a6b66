// Products with few rows of activations, up to COLS: bound by reading the weights, which are decoded once for all of them.
// SPLIT threads share the GROUP = TILES * LANES weight rows of a group, each with every SPLIT-th item of them, so that
// neighbours read neighbouring bytes; their sums are added at the end. `accumulate` is in matmul.vector-f32.wgsl and
// matmul.vector-int8.wgsl.

override THREADS: u32;
override SPLIT: u32;
/// Threads of a subgroup; 1 without.
override SUBGROUP: u32;

const GROUP = TILES * LANES;
const SUMS = TILES * COLS;

override SUBGROUPS: u32 = THREADS / SUBGROUP * SUMS;
var<workgroup> partial: array<Reals, SUBGROUPS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = (workgroup.x + workgroup.y * workgroups.x) * (THREADS / SPLIT) + thread / SPLIT;
  let place = thread % SPLIT;
  var rows: array<Bits, TILES>;
  for (var t = 0u; t < TILES; t++) {
    for (var i = 0u; i < LANES; i++) {
      rows[t] += lane_bits(i, weight_row(group, t * LANES + i));
    }
  }
  var sums: array<Reals, SUMS>;
  const ITEM_WEIGHTS = 4u * ITEM_WORDS;
  for (var item = place; item < (K + ITEM_WEIGHTS - 1u) / ITEM_WEIGHTS; item += SPLIT) {
    accumulate(&sums, &rows, item);
  }
  let column = place;
  var total: array<Reals, TILES>;
  for (var c = 0u; c < COLS; c++) {
    for (var t = 0u; t < TILES; t++) {
      let sum = subgroup_sum(sums[c * TILES + t]);
      if (SPLIT == SUBGROUP) {
        total[t] = select(total[t], sum, column == c);
      } else if (thread % SUBGROUP == 0u) {
        partial[(thread / SUBGROUP * COLS + c) * TILES + t] = sum;
      }
    }
  }
  if (SPLIT != SUBGROUP) {
    workgroupBarrier();
    if (column < COLS) {
      for (var s = 0u; s < SPLIT / SUBGROUP; s++) {
        for (var t = 0u; t < TILES; t++) {
          total[t] += partial[((thread / SPLIT * (SPLIT / SUBGROUP) + s) * COLS + column) * TILES + t];
        }
      }
    }
  }
  if (column >= COLS || column >= counts[COUNT]) {
    return;
  }
  if (PAIRED) {
    for (var i = 0u; i < GROUP / 2u; i++) {
      let gate = lane_of(total[i / LANES], i % LANES);
      finish(group, i, column, silu(gate) * lane_of(total[i / LANES + TILES / 2u], i % LANES));
    }
  } else {
    for (var i = 0u; i < GROUP; i++) {
      finish(group, i, column, lane_of(total[i / LANES], i % LANES));
    }
  }
}
