// Puts splits together: their sums, each weighted by exp(its largest score - the largest of all), over the sum of weights.
// A workgroup takes one head of one row, an invocation four dimensions. Joined behind attention.splits.wgsl and
// attention.values.wgsl or attention.codes.wgsl.
override HEADS: u32;
override HEAD_DIM: u32;
override CHUNKS: u32 = HEAD_DIM / 8;
override THREADS: u32;

@group(0) @binding(0) var<storage, read> parts: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = group.x;
  let row = group.y;
  let splits = u32(parts[0].x);
  if (thread < 2 * CHUNKS) {
    var largest = -3.4e38;
    for (var s = 0u; s < splits; s++) {
      largest = max(largest, parts[split_at(row, head, splits, s) + 2 * CHUNKS].x);
    }
    var total = 0.0;
    var sum = vec4<f32>();
    for (var s = 0u; s < splits; s++) {
      let at = split_at(row, head, splits, s);
      let of_split = parts[at + 2 * CHUNKS];
      let factor = exp(of_split.x - largest);
      total += of_split.y * factor;
      sum += parts[at + thread] * factor;
    }
    put(row, head, 4u * thread, sum / total);
  }
  hand_on(row, head, thread);
}
