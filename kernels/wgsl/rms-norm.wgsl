// out[r] = input[r'] / sqrt(mean(input[r']^2) + EPS) * weight; r' = r, or the row of output r. One workgroup a row.
// Joined behind reduce.wgsl or reduce.subgroups.wgsl.
override WIDTH: u32;
override EPS: f32;
override SELECT_OUTPUTS: bool;
override MAX_ROWS: u32;

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read> step: array<u32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  var row = group.x;
  if (SELECT_OUTPUTS) {
    row = step[4 + 4 * MAX_ROWS + 2 * group.x];
  }
  var squares = 0.0;
  for (var i = thread; i < WIDTH; i += THREADS) {
    let value = input[row * WIDTH + i];
    squares += value * value;
  }
  let factor = inverseSqrt(workgroup_sum(squares, thread) / f32(WIDTH) + EPS);
  for (var i = thread; i < WIDTH; i += THREADS) {
    out[group.x * WIDTH + i] = input[row * WIDTH + i] * factor * weight[i];
  }
}
