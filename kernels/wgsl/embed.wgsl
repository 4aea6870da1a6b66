// out[r] = decode(table[token[r]]), 16 weights an invocation. The host gathers the rows of a table in host memory: they lie
// STRIDE apart in the pass's order then (GATHERED); of a table in device memory the token says which row.
// Joined behind a type's files (quant/), which read binding 0.
override K: u32;
override ROW_BYTES: u32;
override STRIDE: u32;
override GATHERED: bool;
override THREADS: u32;

@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let item = id.x;
  let row = id.y;
  if (16 * item >= K) {
    return;
  }
  let index = select(step[4 + 4 * row], row, GATHERED);
  let values = decode_16(STRIDE * index, item);
  for (var i = 0u; i < min(16u, K - 16 * item); i++) {
    out[row * K + 16 * item + i] = values[i / 4][i % 4];
  }
}
