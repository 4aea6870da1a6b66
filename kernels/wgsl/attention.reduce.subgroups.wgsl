enable subgroups;

// attention.reduce.wgsl where all subgroups have LANES invocations: one barrier each.
override THREADS: u32;
override LANES: u32;
/// Query heads that a workgroup takes, at most 4.
override TAKEN: u32;
override SUBGROUPS: u32 = THREADS / LANES;

var<workgroup> maxima: array<f32, TAKEN * SUBGROUPS>;
var<workgroup> totals: array<f32, TAKEN * SUBGROUPS>;

fn heads_max(values: array<f32, 4>, thread: u32) -> array<f32, 4> {
  var result = values;
  for (var h = 0u; h < TAKEN; h++) {
    let largest = subgroupMax(result[h]);
    if (thread % LANES == 0) {
      maxima[h * SUBGROUPS + thread / LANES] = largest;
    }
  }
  workgroupBarrier();
  for (var h = 0u; h < TAKEN; h++) {
    result[h] = maxima[h * SUBGROUPS];
    for (var i = 1u; i < SUBGROUPS; i++) {
      result[h] = max(result[h], maxima[h * SUBGROUPS + i]);
    }
  }
  return result;
}

fn heads_sum(values: array<f32, 4>, thread: u32) -> array<f32, 4> {
  var result = values;
  for (var h = 0u; h < TAKEN; h++) {
    let sum = subgroupAdd(result[h]);
    if (thread % LANES == 0) {
      totals[h * SUBGROUPS + thread / LANES] = sum;
    }
  }
  workgroupBarrier();
  for (var h = 0u; h < TAKEN; h++) {
    result[h] = totals[h * SUBGROUPS];
    for (var i = 1u; i < SUBGROUPS; i++) {
      result[h] += totals[h * SUBGROUPS + i];
    }
  }
  return result;
}
