/// Of eight neighbouring invocations, which lie in one subgroup.
fn block_max(v: f32, thread: u32) -> f32 {
  var largest = v;
  for (var stride = 1u; stride < 8u; stride *= 2u) {
    largest = max(largest, subgroupShuffleXor(largest, stride));
  }
  return largest;
}

fn block_sum(v: f32, thread: u32) -> f32 {
  var sum = v;
  for (var stride = 1u; stride < 8u; stride *= 2u) {
    sum += subgroupShuffleXor(sum, stride);
  }
  return sum;
}
