// What bounds the K largest logits from below, without one barrier: the largest of every GROUP of them, in their order. The
// K-th largest of those is at most the K-th largest logit. A subgroup takes four groups, and their sum of exponentials.
// Joined behind reduce.subgroups.wgsl, top-k.order.wgsl and top-k.cut.wgsl.
override MAX_OUTPUTS: u32;

/// [output][QUADS][4] orders of the largest, 0 for groups without logits, then [output][QUADS] f32 sums of
/// exp(logit - largest of the four groups).
@group(0) @binding(1) var<storage, read_write> found: array<u32>;

const LOWEST = -3.4e38;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let quad = group.x * (THREADS / LANES) + thread / LANES;
  let lane = thread % LANES;
  let first = group.y * WIDTH;
  var orders_of = vec4u();
  // This lane's own maximum and sum, which needs no second look at the logits.
  var top = LOWEST;
  var sum = 0.0;
  for (var i = lane; i < GROUP; i += LANES) {
    var logit = vec4f();
    for (var g = 0u; g < 4u; g++) {
      logit[g] = logits[first + min(group_token(4u * quad + g, i), WIDTH - 1u)];
    }
    let last_top = top;
    for (var g = 0u; g < 4u; g++) {
      if (group_token(4u * quad + g, i) < WIDTH) {
        orders_of[g] = max(orders_of[g], order_of(logit[g]));
        top = max(top, logit[g]);
      }
    }
    sum *= exp(last_top - top);
    for (var g = 0u; g < 4u; g++) {
      sum += select(0.0, exp(logit[g] - top), group_token(4u * quad + g, i) < WIDTH);
    }
  }
  for (var g = 0u; g < 4u; g++) {
    orders_of[g] = subgroupMax(orders_of[g]);
  }
  let largest = max(LOWEST, logit_of(max(max(orders_of.x, orders_of.y), max(orders_of.z, orders_of.w))));
  let total = subgroupAdd(sum * exp(top - largest));
  if (quad < QUADS) {
    let at = group.y * QUADS + quad;
    if (lane < 4u) {
      found[4u * at + lane] = orders_of[lane];
    }
    if (lane == 0u) {
      found[4u * MAX_OUTPUTS * QUADS + at] = bitcast<u32>(total);
    }
  }
}
