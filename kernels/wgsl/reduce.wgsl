// Sums and maxima over a workgroup of THREADS (a power of two) for every device. All invocations call them together.
override THREADS: u32;

var<workgroup> reduced: array<f32, THREADS>;

fn workgroup_sum(value: f32, thread: u32) -> f32 {
  reduced[thread] = value;
  for (var stride = THREADS / 2; stride > 0; stride /= 2) {
    workgroupBarrier();
    if (thread < stride) {
      reduced[thread] += reduced[thread + stride];
    }
  }
  return workgroupUniformLoad(&reduced[0]);
}

fn workgroup_max(value: f32, thread: u32) -> f32 {
  reduced[thread] = value;
  for (var stride = THREADS / 2; stride > 0; stride /= 2) {
    workgroupBarrier();
    if (thread < stride) {
      reduced[thread] = max(reduced[thread], reduced[thread + stride]);
    }
  }
  return workgroupUniformLoad(&reduced[0]);
}
