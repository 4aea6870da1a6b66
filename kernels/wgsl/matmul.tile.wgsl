// Products with many rows of activations, in tiles of 16 TM rows of activations by GROUP = 16 TN rows of weights: 256 threads,
// of which each sums TM x TN products in registers. A step of both operands lies in workgroup memory, four quads a row, each
// XORed into place so that eight neighbouring rows are in different banks. The step itself is in matmul.tile-int8.wgsl and
// matmul.tile-f32.wgsl.
// Variables in loops have explicit initial values: Dawn (of webgpu 0.6.2) sets those without only once.
const GROUP = 16u * TN;
const TILE_ROWS = 16u * TM;

/// Where quad q of row i of a tile is.
fn quad_place(i: u32, q: u32) -> u32 {
  return 4u * i + (q ^ ((i >> 1u) & 3u));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_row = workgroup.x * TILE_ROWS;
  let group = workgroup.y;
  var sums: array<f32, TM * TN>;
  sum_tile(&sums, group, first_row, thread);
  for (var i = 0u; i < TM; i++) {
    let r = first_row + thread / 16u + 16u * i;
    if (r >= counts[COUNT]) {
      continue;
    }
    if (PAIRED) {
      for (var j = 0u; j < TN / 2u; j++) {
        let v = silu(sums[i * TN + j]) * sums[i * TN + j + TN / 2u];
        finish(group, thread % 16u + 16u * j, r, v);
      }
    } else {
      for (var j = 0u; j < TN; j++) {
        finish(group, thread % 16u + 16u * j, r, sums[i * TN + j]);
      }
    }
  }
}
