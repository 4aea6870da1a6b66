var<workgroup> block_parts: array<f32, VALUES>;

/// Of eight neighbouring invocations. All of a workgroup, which has VALUES, call it together.
fn block_max(v: f32, thread: u32) -> f32 {
  block_parts[thread] = v;
  workgroupBarrier();
  var largest = 0.0;
  for (var i = 0u; i < 8u; i++) {
    largest = max(largest, block_parts[thread - thread % 8u + i]);
  }
  workgroupBarrier();
  return largest;
}

fn block_sum(v: f32, thread: u32) -> f32 {
  block_parts[thread] = v;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < 8u; i++) {
    sum += block_parts[thread - thread % 8u + i];
  }
  workgroupBarrier();
  return sum;
}
