// What no weight of a row exceeds, from scales and offsets alone: into scratch, in the order of a product's groups. A subgroup
// of threads would do; 32 threads a row.
override THREADS: u32;
/// The first word in scratch.
override BOUNDS: u32;

@group(0) @binding(7) var<storage, read_write> scratch: array<f32>;

var<workgroup> bounds: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let place = thread % 32u;
  let row = (workgroup.x + workgroup.y * workgroups.x) * (THREADS / 32u) + thread / 32u;
  var bound = 0.0;
  // Every second sixteen, where two share their scale.
  for (var i = place; i < K / SUB; i += 32u) {
    let coded = load_16(weight_row(row / GROUP, row % GROUP), i * SUB / 16u);
    bound = max(bound, abs(coded.scale) * f32(LARGEST_CODE) + abs(coded.offset));
  }
  bounds[thread] = bound;
  for (var stride = 16u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (place < stride) {
      bounds[thread] = max(bounds[thread], bounds[thread + stride]);
    }
  }
  if (place == 0u) {
    scratch[BOUNDS + row] = bounds[thread];
  }
}
