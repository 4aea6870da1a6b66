// How logits are cut into groups. A group has a run of tokens in each quarter of the vocabulary: where the best are neighbours
// (tokens of common words have low numbers), more groups share them, and their largest bound the K largest more closely.
/// Logits of a group, a multiple of LANES and of 4.
override GROUP: u32;
/// Fours of groups in an output.
override QUADS: u32;

/// The token of logit `i` of a group; WIDTH or more where there is none.
fn group_token(group: u32, i: u32) -> u32 {
  let run = GROUP / 4u;
  return (i / run * 4u * QUADS + group) * run + i % run;
}
