// Largest values and sums of THREADS invocations, for each of TAKEN heads, on every device. Two arrays, so that no barrier is
// needed after reading one: the other's come before it is written again.
override THREADS: u32;
/// Query heads that a workgroup takes, at most 4.
override TAKEN: u32;

var<workgroup> maxima: array<f32, TAKEN * THREADS>;
var<workgroup> totals: array<f32, TAKEN * THREADS>;

fn heads_max(values: array<f32, 4>, thread: u32) -> array<f32, 4> {
  var result = values;
  for (var h = 0u; h < TAKEN; h++) {
    maxima[h * THREADS + thread] = result[h];
  }
  for (var stride = THREADS / 2; stride > 0; stride /= 2) {
    workgroupBarrier();
    if (thread < stride) {
      for (var h = 0u; h < TAKEN; h++) {
        let at = h * THREADS + thread;
        maxima[at] = max(maxima[at], maxima[at + stride]);
      }
    }
  }
  workgroupBarrier();
  for (var h = 0u; h < TAKEN; h++) {
    result[h] = maxima[h * THREADS];
  }
  return result;
}

fn heads_sum(values: array<f32, 4>, thread: u32) -> array<f32, 4> {
  var result = values;
  for (var h = 0u; h < TAKEN; h++) {
    totals[h * THREADS + thread] = result[h];
  }
  for (var stride = THREADS / 2; stride > 0; stride /= 2) {
    workgroupBarrier();
    if (thread < stride) {
      for (var h = 0u; h < TAKEN; h++) {
        let at = h * THREADS + thread;
        totals[at] += totals[at + stride];
      }
    }
  }
  workgroupBarrier();
  for (var h = 0u; h < TAKEN; h++) {
    result[h] = totals[h * THREADS];
  }
  return result;
}
