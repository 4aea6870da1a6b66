// Activations whose division by the root mean square has been left to the product: one factor a row, from the sums of squares
// behind their codes (code-rows.write.wgsl).
override EPS: f32;

override FACTOR_PARTS: u32 = THREADS / SUBGROUP * COLS;
var<workgroup> squares_of_row: array<f32, FACTOR_PARTS>;

/// Loads what the factors are made of, ahead of the weights.
fn begin_factors(thread: u32) -> array<f32, COLS> {
  var sums = array<f32, COLS>();
  for (var c = 0u; c < COLS; c++) {
    let at = INPUT + c * K + 9u * (K / 32u);
    if (K / 32u <= THREADS) {
      if (thread < K / 32u) {
        sums[c] = x_floats[at + thread];
      }
    } else {
      for (var i = thread; i < K / 32u; i += THREADS) {
        sums[c] += x_floats[at + i];
      }
    }
  }
  return sums;
}

/// To be followed by a barrier.
fn end_factors(parts: array<f32, COLS>, thread: u32) {
  for (var c = 0u; c < COLS; c++) {
    let sum = subgroup_total(parts[c]);
    if (thread % SUBGROUP == 0u) {
      squares_of_row[c * (THREADS / SUBGROUP) + thread / SUBGROUP] = sum;
    }
  }
}

fn factor_of(c: u32) -> f32 {
  var sum = 0.0;
  for (var s = 0u; s < THREADS / SUBGROUP; s++) {
    sum += squares_of_row[c * (THREADS / SUBGROUP) + s];
  }
  return inverseSqrt(sum / f32(K) + EPS);
}
