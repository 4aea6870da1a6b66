// Two matrices of one type and one shape over one input: out = silu(gate sum) * up sum. The first half of a group's GROUP rows
// are rows of gate, the second half the same rows of up.

/// What `out` has in a row.
override WIDTH: u32;
/// Rows of both matrices that this dispatch computes.
override ROWS: u32;
/// Their first bytes in `weights`.
override GATE: u32;
override UP: u32;
/// Their first value in `out`.
override OUT: u32;

@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const PAIRED = true;
const PAIRS = GROUP / 2u;

fn weight_row(group: u32, i: u32) -> u32 {
  let n = min(group * PAIRS + i % PAIRS, ROWS - 1u);
  return select(UP, GATE, i < PAIRS) + n * ROW_BYTES;
}

/// `i` below PAIRS; `v` is both sums' outcome.
fn finish(group: u32, i: u32, r: u32, v: f32) {
  let n = group * PAIRS + i;
  if (n < ROWS) {
    out[OUT + r * WIDTH + n] = v;
  }
}
