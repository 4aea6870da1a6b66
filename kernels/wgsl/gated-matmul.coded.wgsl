// gated-matmul.wgsl whose results go on as codes alone.

/// Rows of both matrices.
override ROWS: u32;
/// Their first bytes in `weights`.
override GATE: u32;
override UP: u32;

@group(0) @binding(3) var<storage, read_write> coded: array<u32>;

const PAIRED = true;
const PAIRS = GROUP / 2u;
const HAS_SQUARES = false;

fn weight_row(group: u32, i: u32) -> u32 {
  let n = min(group * PAIRS + i % PAIRS, ROWS - 1u);
  return select(UP, GATE, i < PAIRS) + n * ROW_BYTES;
}

fn finish(group: u32, i: u32, r: u32, v: f32) {
  block_values[value_place(group, i, r)] = v;
}
