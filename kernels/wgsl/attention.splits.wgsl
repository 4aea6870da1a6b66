// What attention.rows.wgsl leaves for attention.merge.wgsl: one vector with the number of splits, then
// [row][head][split](HEAD_DIM / 4 vectors of weighted sums, one of (largest score, sum of weights)).
fn split_at(row: u32, head: u32, splits: u32, split: u32) -> u32 {
  return 1 + ((row * HEADS + head) * splits + split) * (2 * CHUNKS + 1);
}
