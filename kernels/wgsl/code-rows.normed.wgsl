override SELECT_OUTPUTS: bool;
override MAX_ROWS: u32;
/// The first of the norm's weights.
override WEIGHT: u32;

@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> step: array<u32>;

const HAS_SQUARES = true;

/// The row itself, or the row of an output.
fn input_row(row: u32) -> u32 {
  if (SELECT_OUTPUTS) {
    return step[4u + 4u * MAX_ROWS + 2u * row];
  }
  return row;
}

fn norm_weight(i: u32) -> f32 {
  return weight[WEIGHT + i];
}
