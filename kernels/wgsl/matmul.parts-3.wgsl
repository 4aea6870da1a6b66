// Three matrices of one type and one input, as matmul.parts-2.wgsl: q, k and v.
override WIDTH_0: u32;
override WIDTH_1: u32;
override WIDTH_2: u32;
override WEIGHTS_0: u32;
override WEIGHTS_1: u32;
override WEIGHTS_2: u32;
override OUT_0: u32;
override OUT_1: u32;
override OUT_2: u32;
override HAS_BIAS_0: bool;
override HAS_BIAS_1: bool;
override HAS_BIAS_2: bool;
override BIAS_0: u32;
override BIAS_1: u32;
override BIAS_2: u32;
override MODE: u32;
override GROUPS_0: u32 = (WIDTH_0 + GROUP - 1u) / GROUP;
override GROUPS_1: u32 = (WIDTH_1 + GROUP - 1u) / GROUP;

@group(0) @binding(3) var<storage, read_write> out_0: array<f32>;
@group(0) @binding(4) var<storage, read_write> out_1: array<f32>;
@group(0) @binding(5) var<storage, read_write> out_2: array<f32>;

const PAIRED = false;

fn weight_row(group: u32, i: u32) -> u32 {
  if (group < GROUPS_0) {
    return WEIGHTS_0 + min(group * GROUP + i, WIDTH_0 - 1u) * ROW_BYTES;
  }
  if (group < GROUPS_0 + GROUPS_1) {
    return WEIGHTS_1 + min((group - GROUPS_0) * GROUP + i, WIDTH_1 - 1u) * ROW_BYTES;
  }
  return WEIGHTS_2 + min((group - GROUPS_0 - GROUPS_1) * GROUP + i, WIDTH_2 - 1u) * ROW_BYTES;
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
  if (group < GROUPS_0 + GROUPS_1) {
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
    return;
  }
  let n = (group - GROUPS_0 - GROUPS_1) * GROUP + i;
  if (n >= WIDTH_2) {
    return;
  }
  let at = OUT_2 + r * WIDTH_2 + n;
  if (HAS_BIAS_2) {
    v += bias(BIAS_2 + n);
  }
  if (MODE == 1u) {
    v += out_2[at];
  }
  out_2[at] = v;
}
