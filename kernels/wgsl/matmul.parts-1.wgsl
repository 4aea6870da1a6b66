// One matrix. A group is GROUP of its rows.
fn weight_row(group: u32, i: u32) -> u32 {
  return row_0(group * GROUP + i);
}

fn finish(group: u32, i: u32, r: u32, sum: f32) {
  finish_0(group * GROUP + i, r, sum);
}
