// Rows of activations to codes (code-rows.write.wgsl), in code-rows.normed.wgsl multiplied by a norm's weights first; the
// division by the root mean square is left to who reads them. A workgroup takes VALUES values of a row.
override VALUES: u32;
/// The first value of `input` and the first word of `coded`.
override INPUT: u32;
override CODED: u32;

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> coded: array<u32>;

@compute @workgroup_size(VALUES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = group.x * VALUES + thread;
  if (i < CODED_WIDTH) {
    let v = input[INPUT + input_row(group.y) * CODED_WIDTH + i];
    block_squares[thread] = v * v;
    block_values[thread] = v * norm_weight(i);
  }
  workgroupBarrier();
  let local_block = min(thread / 8u, VALUES / 32u - 1u);
  let block = group.x * (VALUES / 32u) + local_block;
  let live = thread < VALUES / 4u && block < CODED_WIDTH / 32u;
  code_block(live, 32u * local_block, CODED + group.y * CODED_WIDTH, block, thread);
}
