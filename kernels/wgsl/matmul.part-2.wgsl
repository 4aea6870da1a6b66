// The third matrix, as matmul.part-0.wgsl.
override WIDTH_2: u32;
override ROWS_2: u32;
override WEIGHTS_2: u32;
override OUT_2: u32;
override HAS_BIAS_2: bool;
override BIAS_2: u32;

@group(0) @binding(5) var<storage, read_write> out_2: array<f32>;

fn row_2(n: u32) -> u32 {
  return WEIGHTS_2 + min(n, ROWS_2 - 1u) * ROW_BYTES;
}

fn finish_2(n: u32, r: u32, sum: f32) {
  if (n >= ROWS_2) {
    return;
  }
  let at = OUT_2 + r * WIDTH_2 + n;
  var v = sum;
  if (HAS_BIAS_2) {
    v += bias(BIAS_2 + n);
  }
  if (MODE == 1u) {
    v += out_2[at];
  }
  out_2[at] = v;
}
