override MAX_ROWS: u32;

@group(0) @binding(2) var<storage, read> step: array<u32>;
/// Of each output (log-sum-exp, target logit, count, 0), then K of (token, logit): src/backend/outputs.ts.
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

const NO_TARGET = 0xffffffffu;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let count = begin(group);
  let all = exponentials(count, thread);
  let wanted = choose(count, all.largest, thread);
  sort(wanted, thread);
  let at = group.y * (4 + 2 * K);
  for (var i = thread; i < wanted; i += THREADS) {
    out[at + 4 + 2 * i] = tokens[i];
    out[at + 5 + 2 * i] = bitcast<u32>(logit_of(orders[i]));
  }
  if (thread == 0) {
    let target_token = step[4 + 4 * MAX_ROWS + 2 * group.y + 1];
    var target_logit = 0.0;
    if (target_token != NO_TARGET) {
      target_logit = logits[group.y * WIDTH + target_token];
    }
    out[at] = bitcast<u32>(all.largest + log(all.sum));
    out[at + 1] = bitcast<u32>(target_logit);
    out[at + 2] = wanted;
    out[at + 3] = 0u;
  }
}
