/// [output][chunk]: (largest, sum of exponentials), then K of (order, token); the last chunk may have fewer.
@group(0) @binding(1) var<storage, read_write> chosen: array<vec2<u32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let count = begin(group);
  let all = exponentials(count, thread);
  let wanted = choose(count, all.largest, thread);
  let at = (group.y * CHUNKS + group.x) * (K + 1);
  for (var i = thread; i < wanted; i += THREADS) {
    chosen[at + 1 + i] = vec2<u32>(orders[i], tokens[i]);
  }
  if (thread == 0) {
    chosen[at] = vec2<u32>(bitcast<u32>(all.largest), bitcast<u32>(all.sum));
  }
}
