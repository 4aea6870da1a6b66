// Two matrices of one type and one input, the groups of the second after those of the first (matmul.parts-1.wgsl says what
// the constants are). A group is GROUP rows of one of them.
override WIDTH_0: u32;
override WIDTH_1: u32;
override WEIGHTS_0: u32;
override WEIGHTS_1: u32;
override OUT_0: u32;
override OUT_1: u32;
override HAS_BIAS_0: bool;
override HAS_BIAS_1: bool;
override BIAS_0: u32;
override BIAS_1: u32;
override MODE: u32;
override GROUPS_0: u32 = (WIDTH_0 + GROUP - 1u) / GROUP;

@group(0) @binding(3) var<storage, read_write> out_0: array<f32>;
@group(0) @binding(4) var<storage, read_write> out_1: array<f32>;

const PAIRED = false;

fn weight_row(group: u32, i: u32) -> u32 {
  if (group < GROUPS_0) {
    return WEIGHTS_0 + min(group * GROUP + i, WIDTH_0 - 1u) * ROW_BYTES;
  }
  return WEIGHTS_1 + min((group - GROUPS_0) * GROUP + i, WIDTH_1 - 1u) * ROW_BYTES;
}

fn finish(group: u32, i: u32, r: u32, sum: f32) {
  var v = sum;
  if (group < GROUPS_0) {
    let n = group * GROUP + i;
    if (n >= WIDTH_0) {
      return;
    }
    let at = OUT_0 + r * WIDTH_0 + n;
    if (HAS_BIAS_0) {
      v += bias(BIAS_0 + n);
    }
    if (MODE == 1u) {
      v += out_0[at];
    }
    out_0[at] = v;
    return;
  }
  let n = (group - GROUPS_0) * GROUP + i;
  if (n >= WIDTH_1) {
    return;
  }
  let at = OUT_1 + r * WIDTH_1 + n;
  if (HAS_BIAS_1) {
    v += bias(BIAS_1 + n);
  }
  if (MODE == 1u) {
    v += out_1[at];
  }
  out_1[at] = v;
}
