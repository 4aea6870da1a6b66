// The first of up to three matrices of one type over one input: q, k and v. Joined with matmul.part-1.wgsl and
// matmul.part-2.wgsl where there are more, and matmul.parts-<how many>.wgsl, which says whose the groups are.

/// Of the whole matrix: what `out_0` has in a row.
override WIDTH_0: u32;
/// Rows of the matrix that this dispatch computes.
override ROWS_0: u32;
/// Their first byte in `weights`.
override WEIGHTS_0: u32;
/// Their first value in `out_0` and in `biases`.
override OUT_0: u32;
override HAS_BIAS_0: bool;
override BIAS_0: u32;
/// 0: out = v. 1: out += v, the residual. 2: out = silu(out) * v, where gate and up have different types: one matrix alone.
override MODE: u32;

@group(0) @binding(3) var<storage, read_write> out_0: array<f32>;

const PAIRED = false;

/// The first byte of row `n`; beyond the matrix its last row.
fn row_0(n: u32) -> u32 {
  return WEIGHTS_0 + min(n, ROWS_0 - 1u) * ROW_BYTES;
}

/// Takes the sum of row `n` and row `r` of the activations.
fn finish_0(n: u32, r: u32, sum: f32) {
  if (n >= ROWS_0) {
    return;
  }
  let at = OUT_0 + r * WIDTH_0 + n;
  var v = sum;
  if (HAS_BIAS_0) {
    v += bias(BIAS_0 + n);
  }
  if (MODE == 1u) {
    v += out_0[at];
  }
  if (MODE == 2u) {
    v *= silu(out_0[at]);
  }
  out_0[at] = v;
}
