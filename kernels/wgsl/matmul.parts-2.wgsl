// Two matrices: the groups of the second come after those of the first. A group is GROUP rows of one of them.
override GROUPS_0: u32 = (ROWS_0 + GROUP - 1u) / GROUP;

fn weight_row(group: u32, i: u32) -> u32 {
  if (group < GROUPS_0) {
    return row_0(group * GROUP + i);
  }
  return row_1((group - GROUPS_0) * GROUP + i);
}

fn finish(group: u32, i: u32, r: u32, sum: f32) {
  if (group < GROUPS_0) {
    finish_0(group * GROUP + i, r, sum);
  } else {
    finish_1((group - GROUPS_0) * GROUP + i, r, sum);
  }
}
