enable subgroups;

// Sums and maxima over a workgroup of THREADS (a multiple of LANES) where all subgroups have LANES invocations: two barriers
// instead of one for every power of two. All invocations call them together.
override THREADS: u32;
override LANES: u32;

var<workgroup> reduced: array<f32, THREADS / LANES>;

fn workgroup_sum(value: f32, thread: u32) -> f32 {
  let sum = subgroupAdd(value);
  if (thread % LANES == 0) {
    reduced[thread / LANES] = sum;
  }
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < THREADS / LANES; i++) {
    total += reduced[i];
  }
  workgroupBarrier();
  return total;
}

fn workgroup_max(value: f32, thread: u32) -> f32 {
  let largest = subgroupMax(value);
  if (thread % LANES == 0) {
    reduced[thread / LANES] = largest;
  }
  workgroupBarrier();
  var total = reduced[0];
  for (var i = 1u; i < THREADS / LANES; i++) {
    total = max(total, reduced[i]);
  }
  workgroupBarrier();
  return total;
}
