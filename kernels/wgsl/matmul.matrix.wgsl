// Products with many rows of activations on matrix units that multiply signed bytes: both operands are fixed point of 16 bits
// with one scale a row, split into high and low bytes, so that sums over all of K are exact integers and are scaled once, at
// the end. Of the four products of halves the one of both lows is left out: it is below the rounding of the operands.
// A workgroup of eight subgroups of 32 threads computes a tile of 32 FM rows of activations by GROUP = 64 FN rows of weights;
// a subgroup computes FM x FN blocks of 16 x 16. Steps of 64 weights lie in workgroup memory, rows 80 bytes apart, which
// spreads eight neighbouring ones over all banks.
const GROUP = 64u * FN;
const TILE_ROWS = 32u * FM;
const STRIDE = 80u;
const STRIDE_WORDS = STRIDE / 4u;

/// The first words of the parts of scratch.
override LOWS: u32;
override SCALES: u32;
override BOUNDS: u32;

@group(0) @binding(1) var<storage, read> x_codes: array<vec4u>;
@group(0) @binding(7) var<storage, read> x_floats: array<f32>;

var<workgroup> x_high: array<i32, TILE_ROWS * STRIDE_WORDS>;
var<workgroup> x_low: array<i32, TILE_ROWS * STRIDE_WORDS>;
var<workgroup> w_high: array<i32, GROUP * STRIDE_WORDS>;
var<workgroup> w_low: array<i32, GROUP * STRIDE_WORDS>;
/// Sums of 32 rows of activations at a time.
var<workgroup> totals: array<i32, 32u * GROUP>;

alias Left = subgroup_matrix_left<i8, 32, 16>;
alias Right = subgroup_matrix_right<i8, 16, 32>;
alias Result = subgroup_matrix_result<i32, 16, 16>;

/// Thread t fills chunk t % 4 (16 weights) of rows t / 4, t / 4 + 64 and so on.
fn store_weights(group: u32, step: u32, thread: u32) {
  let c = thread % 4u;
  for (var i = thread / 4u; i < GROUP; i += 64u) {
    var coded = Sixteen();
    if (64u * step + 16u * c < K) {
      coded = load_16(weight_row(group, i), 4u * step + c);
    }
    let bound = x_floats[BOUNDS + group * GROUP + i];
    let inverse = select(0.0, 32512.0 / bound, bound > 1e-33);
    for (var w = 0u; w < 4u; w++) {
      let codes = unpack(coded.codes[w]);
      let v = (vec4f(codes[0], codes[1], codes[2], codes[3]) * coded.scale + coded.offset) * inverse;
      let bytes = split_bytes(vec4i(round(v)));
      w_high[i * STRIDE_WORDS + 4u * c + w] = bitcast<i32>(bytes.x);
      w_low[i * STRIDE_WORDS + 4u * c + w] = bitcast<i32>(bytes.y);
    }
  }
}

fn store_activations(first_row: u32, step: u32, thread: u32) {
  let c = thread % 4u;
  for (var i = thread / 4u; i < TILE_ROWS; i += 64u) {
    var high = vec4u();
    var low = vec4u();
    let r = first_row + i;
    if (r < counts[COUNT] && 64u * step + 16u * c < K) {
      let at = (r * K + 64u * step) / 16u + c;
      high = x_codes[at];
      low = x_codes[LOWS / 4u + at];
    }
    for (var w = 0u; w < 4u; w++) {
      x_high[i * STRIDE_WORDS + 4u * c + w] = bitcast<i32>(high[w]);
      x_low[i * STRIDE_WORDS + 4u * c + w] = bitcast<i32>(low[w]);
    }
  }
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let first_row = workgroup.x * TILE_ROWS;
  let group = workgroup.y;
  // Two subgroups side by side in the rows, four in the columns.
  let block_row = subgroup / 4u * 16u * FM;
  let block_column = subgroup % 4u * 16u * FN;
  var tops: array<Result, FM * FN>;
  var middles: array<Result, FM * FN>;
  for (var step = 0u; 64u * step < K; step++) {
    store_weights(group, step, thread);
    store_activations(first_row, step, thread);
    workgroupBarrier();
    for (var k = 0u; k < 64u; k += 32u) {
      var high: array<Left, FM>;
      var low: array<Left, FM>;
      for (var i = 0u; i < FM; i++) {
        let at = (block_row + 16u * i) * STRIDE + k;
        high[i] = subgroupMatrixLoad<Left, row_major>(&x_high, at, STRIDE);
        low[i] = subgroupMatrixLoad<Left, row_major>(&x_low, at, STRIDE);
      }
      for (var j = 0u; j < FN; j++) {
        let at = (block_column + 16u * j) * STRIDE + k;
        let right_high = subgroupMatrixLoad<Right, col_major>(&w_high, at, STRIDE);
        let right_low = subgroupMatrixLoad<Right, col_major>(&w_low, at, STRIDE);
        for (var i = 0u; i < FM; i++) {
          let n = i * FN + j;
          tops[n] = subgroupMatrixMultiplyAccumulate(high[i], right_high, tops[n]);
          middles[n] = subgroupMatrixMultiplyAccumulate(high[i], right_low, middles[n]);
          middles[n] = subgroupMatrixMultiplyAccumulate(low[i], right_high, middles[n]);
        }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < FM; i++) {
    let at = subgroup / 4u * 16u * GROUP + block_column;
    for (var j = 0u; j < FN; j++) {
      subgroupMatrixStore<row_major>(&totals, at + 16u * j, tops[i * FN + j], GROUP);
    }
    workgroupBarrier();
    var sums: array<f32, GROUP / 8u>;
    for (var n = 0u; n < GROUP / 8u; n++) {
      sums[n] = 65536.0 * f32(totals[total_place(thread, n)]);
    }
    workgroupBarrier();
    for (var j = 0u; j < FN; j++) {
      subgroupMatrixStore<row_major>(&totals, at + 16u * j, middles[i * FN + j], GROUP);
    }
    workgroupBarrier();
    // The row of activations in the tile: block i of the subgroups of the upper or of the lower half.
    let place = total_place(thread, 0u) / GROUP;
    let r = first_row + place / 16u * 16u * FM + 16u * i + place % 16u;
    let column = total_place(thread, 0u) % GROUP;
    for (var n = 0u; n < GROUP / 8u; n++) {
      sums[n] += 256.0 * f32(totals[total_place(thread, n)]);
    }
    if (r < counts[COUNT]) {
      finish_row(group, column, r, &sums);
    }
    workgroupBarrier();
  }
}

/// Thread t has row t / 8 of the 32 and the columns t % 8, t % 8 + 8 and so on.
fn total_place(thread: u32, n: u32) -> u32 {
  return thread / 8u * GROUP + thread % 8u + 8u * n;
}

/// Sums of columns `column`, `column` + 8 and so on.
fn finish_row(group: u32, column: u32, r: u32, sums: ptr<function, array<f32, GROUP / 8u>>) {
  let scale = x_floats[SCALES + r] / 32512.0;
  for (var n = 0u; n < GROUP / 8u; n++) {
    (*sums)[n] *= scale * x_floats[BOUNDS + group * GROUP + column + 8u * n];
  }
  if (PAIRED) {
    for (var n = 0u; n < GROUP / 16u; n++) {
      finish(group, column + 8u * n, r, silu((*sums)[n]) * (*sums)[n + GROUP / 16u]);
    }
  } else {
    for (var n = 0u; n < GROUP / 8u; n++) {
      finish(group, column + 8u * n, r, (*sums)[n]);
    }
  }
}
