// Activations as codes of 8 bits, for products that multiply codes with codes. A block of 32 has a scale s = max|x| / 127 and
// codes round(x / s). A row of WIDTH values, a multiple of 32, is coded in the place of its f32 values, WIDTH words:
//   from word      words          what
//   0              WIDTH / 4      codes, four a word
//   WIDTH / 4      WIDTH / 32     scales, f32
//   9 WIDTH / 32   WIDTH / 32     HAS_SQUARES: sums of squares of the blocks before a norm's weights multiplied them, f32
//   5 WIDTH / 16   17 WIDTH / 64  where WIDTH is a multiple of 64: the codes as in a row of q8_0, with zeros for its scales
// Joined where `coded` is declared, and VALUES, the values that a workgroup has in memory; with code-rows.subgroups.wgsl or
// code-rows.no-subgroups.wgsl.
override CODED_WIDTH: u32;

var<workgroup> block_values: array<f32, VALUES>;
var<workgroup> block_squares: array<f32, VALUES>;

/// The codes of values at to at + 3.
fn codes_of(at: u32, inverse: f32) -> u32 {
  let v = vec4f(block_values[at], block_values[at + 1u], block_values[at + 2u], block_values[at + 3u]);
  return pack4xI8(vec4i(round(v * inverse)));
}

fn largest_of(at: u32) -> f32 {
  return max(
    max(abs(block_values[at]), abs(block_values[at + 1u])), max(abs(block_values[at + 2u]), abs(block_values[at + 3u])));
}

fn squares_of(at: u32) -> f32 {
  return (block_squares[at] + block_squares[at + 1u]) + (block_squares[at + 2u] + block_squares[at + 3u]);
}

/// All invocations call it together, eight neighbours for the block of 32 values at `at` of the workgroup, which is block `block`
/// of the row that starts at `row_at`; those that are not `live` only help.
fn code_block(live: bool, at: u32, row_at: u32, block: u32, thread: u32) {
  let word = thread % 8u;
  let size = block_max(largest_of(at + 4u * word), thread);
  var squares = 0.0;
  if (HAS_SQUARES) {
    squares = block_sum(squares_of(at + 4u * word), thread);
  }
  if (!live) {
    return;
  }
  // Below the bound the inverse would not be finite; such activations count as zero.
  let inverse = select(0.0, 127.0 / size, size > 1e-35);
  let codes = codes_of(at + 4u * word, inverse);
  coded[row_at + 8u * block + word] = codes;
  if (word == 0u) {
    coded[row_at + CODED_WIDTH / 4u + block] = bitcast<u32>(size / 127.0);
  }
  if (HAS_SQUARES && word == 1u) {
    coded[row_at + 9u * (CODED_WIDTH / 32u) + block] = bitcast<u32>(squares);
  }
  if (CODED_WIDTH % 64u != 0u) {
    return;
  }
  // Two blocks of 34 bytes are 17 words: the codes of the first start in the middle of one, those of the second at one.
  let pair = row_at + 5u * (CODED_WIDTH / 16u) + 17u * (block / 2u);
  if (block % 2u == 1u) {
    coded[pair + 9u + word] = codes;
    return;
  }
  var before = 0u;
  if (word > 0u) {
    before = codes_of(at + 4u * word - 4u, inverse);
  }
  coded[pair + word] = (before >> 16u) | (codes << 16u);
  if (word == 7u) {
    coded[pair + 8u] = codes >> 16u;
  }
}
