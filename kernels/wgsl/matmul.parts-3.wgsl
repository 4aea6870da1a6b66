// Three matrices, as matmul.parts-2.wgsl.
override GROUPS_0: u32 = (ROWS_0 + GROUP - 1u) / GROUP;
override GROUPS_1: u32 = (ROWS_1 + GROUP - 1u) / GROUP;

fn weight_row(group: u32, i: u32) -> u32 {
  if (group < GROUPS_0) {
    return row_0(group * GROUP + i);
  }
  if (group < GROUPS_0 + GROUPS_1) {
    return row_1((group - GROUPS_0) * GROUP + i);
  }
  return row_2((group - GROUPS_0 - GROUPS_1) * GROUP + i);
}

fn finish(group: u32, i: u32, r: u32, sum: f32) {
  if (group < GROUPS_0) {
    finish_0(group * GROUP + i, r, sum);
  } else if (group < GROUPS_0 + GROUPS_1) {
    finish_1((group - GROUPS_0) * GROUP + i, r, sum);
  } else {
    finish_2((group - GROUPS_0 - GROUPS_1) * GROUP + i, r, sum);
  }
}
