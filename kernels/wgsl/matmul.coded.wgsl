// One matrix whose sums are added to `out_0`, which goes on as codes of what the norm behind it makes of it but for the division
// by the root mean square (matmul.factors.wgsl).

/// Rows of the matrix, and what `out_0` has in a row.
override WIDTH_0: u32;
/// Their first byte in `weights`.
override WEIGHTS_0: u32;
/// Their first value in `out_0` and in `biases`.
override OUT_0: u32;
override HAS_BIAS_0: bool;
override BIAS_0: u32;
/// The first of the norm's weights.
override NORM: u32;

@group(0) @binding(3) var<storage, read_write> out_0: array<f32>;
@group(0) @binding(4) var<storage, read_write> coded: array<u32>;
@group(0) @binding(5) var<storage, read> norm: array<f32>;

const PAIRED = false;
const HAS_SQUARES = true;

fn weight_row(group: u32, i: u32) -> u32 {
  return WEIGHTS_0 + min(group * GROUP + i, WIDTH_0 - 1u) * ROW_BYTES;
}

/// What a result is added to, the bias, and the weight in the norm. The sum is made in the order of matmul.part-0.wgsl: cut
/// into other lists, ops give the same bits.
alias Before = vec3f;

fn before_of(group: u32, i: u32, r: u32) -> Before {
  let n = min(group * GROUP + i, WIDTH_0 - 1u);
  var added = 0.0;
  if (HAS_BIAS_0) {
    added = bias(BIAS_0 + n);
  }
  return vec3f(out_0[OUT_0 + r * WIDTH_0 + n], added, norm[NORM + n]);
}

fn finish_with(group: u32, i: u32, r: u32, sum: f32, before: Before) {
  let n = group * GROUP + i;
  if (n >= WIDTH_0) {
    return;
  }
  let v = sum + before.y + before.x;
  out_0[OUT_0 + r * WIDTH_0 + n] = v;
  let place = value_place(group, i, r);
  block_values[place] = v * before.z;
  block_squares[place] = v * v;
}
