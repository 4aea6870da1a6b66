// Results as codes (code-rows.write.wgsl, behind this): a row of them has the heads one after the other.
override VALUES: u32 = HEAD_DIM;

@group(0) @binding(4) var<storage, read_write> coded: array<u32>;

const HAS_SQUARES = false;

/// Dimensions d to d + 3.
fn put(row: u32, head: u32, d: u32, v: vec4f) {
  block_values[d] = v.x;
  block_values[d + 1u] = v.y;
  block_values[d + 2u] = v.z;
  block_values[d + 3u] = v.w;
}

fn hand_on(row: u32, head: u32, thread: u32) {
  workgroupBarrier();
  const BLOCK = 32u;
  for (var base = 0u; base < HEAD_DIM / BLOCK; base += THREADS / 8u) {
    let i = min(base + thread / 8u, HEAD_DIM / BLOCK - 1u);
    let block = head * (HEAD_DIM / BLOCK) + i;
    code_block(base + thread / 8u == i, BLOCK * i, row * CODED_WIDTH, block, thread);
  }
}
