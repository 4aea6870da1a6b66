// The second matrix, as matmul.part-0.wgsl.
override WIDTH_1: u32;
override ROWS_1: u32;
override WEIGHTS_1: u32;
override OUT_1: u32;
override HAS_BIAS_1: bool;
override BIAS_1: u32;

@group(0) @binding(4) var<storage, read_write> out_1: array<f32>;

fn row_1(n: u32) -> u32 {
  return WEIGHTS_1 + min(n, ROWS_1 - 1u) * ROW_BYTES;
}

fn finish_1(n: u32, r: u32, sum: f32) {
  if (n >= ROWS_1) {
    return;
  }
  let at = OUT_1 + r * WIDTH_1 + n;
  var v = sum;
  if (HAS_BIAS_1) {
    v += bias(BIAS_1 + n);
  }
  if (MODE == 1u) {
    v += out_1[at];
  }
  out_1[at] = v;
}
