@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

/// Dimensions d to d + 3.
fn put(row: u32, head: u32, d: u32, v: vec4f) {
  out[((row * HEADS + head) * HEAD_DIM + d) / 4u] = v;
}

fn hand_on(row: u32, head: u32, thread: u32) {
}
