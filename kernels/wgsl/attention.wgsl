// What the attention kernels share. A row attends to positions first_position(row) .. row_position(row) of its slot. Heads
// are taken in groups that share a key-value head.
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32;
override SCALE: f32;
override WINDOW: u32;
override CONTEXT: u32;

/// Chunks of 8 halves, 16 bytes, in a head.
override CHUNKS: u32 = HEAD_DIM / 8;
override GROUP: u32 = HEADS / KV_HEADS;

@group(0) @binding(0) var<storage, read> step: array<u32>;

fn row_position(row: u32) -> u32 {
  return step[4 + 4 * row + 1];
}

fn row_slot(row: u32) -> u32 {
  return step[4 + 4 * row + 2];
}

fn first_position(position: u32) -> u32 {
  return select(0u, position + 1 - min(WINDOW, position + 1), WINDOW > 0);
}

/// Software drivers unroll whatever they can, and take half a minute for it; on a GPU loads of unrolled loops run together.
override ROLLED: bool;

/// `count`; with ROLLED unknown when the kernel is compiled.
fn rolled(count: u32) -> u32 {
  if (ROLLED) {
    return min(count, count + step[0]);
  }
  return count;
}
