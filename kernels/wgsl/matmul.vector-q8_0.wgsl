// Rows of q8_0 in quads of 16 bytes as they lie in memory: 17 quads are 8 blocks of 34 bytes. Loads are whole and adjacent,
// where words at the even bytes of blocks take three times as many. The activations' codes lie the same way, with zeros where
// the weights have scales (code-rows.write.wgsl). K is a multiple of 256.

/// The first word of the activations.
override INPUT: u32;
/// Loads of two items are in flight together: one is half of what other types' are.
const PAIRS_OF_ITEMS = true;
override ITEMS: u32 = ROW_BYTES / 16u;

@group(0) @binding(1) var<storage, read> x_codes: array<vec4u>;
@group(0) @binding(7) var<storage, read> x_floats: array<f32>;

/// Adds the products of quad `item` of each row: sums[column * TILES + tile].
fn accumulate(sums: ptr<function, array<Reals, SUMS>>, rows: ptr<function, array<Bits, TILES>>, item: u32) {
  let first = 16u * item;
  let block = first / 34u;
  // Bytes of the quad from here on are of the next block, its scale first.
  let next = 34u * (block + 1u) - first;
  let has_next = next < 16u;
  var codes: array<array<Bits, 4>, TILES>;
  var scales: array<Reals, TILES>;
  var next_scales: array<Reals, TILES>;
  for (var t = 0u; t < TILES; t++) {
    codes[t] = quads(((*rows)[t] >> Bits(4u)) + Bits(item));
    scales[t] = low_half(rows_word((*rows)[t], 34u * block) >> Bits(16u * (block & 1u)));
  }
  for (var t = 0u; t < TILES; t++) {
    let low = select(codes[t][1], codes[t][0], next < 4u);
    let high = select(codes[t][3], codes[t][2], next < 12u);
    let word = select(high, low, next < 8u) >> Bits(8u * (next & 2u));
    next_scales[t] = select(Reals(), low_half(word), has_next);
  }
  for (var c = 0u; c < COLS; c++) {
    let x = x_codes[(INPUT + c * K + 5u * (K / 16u)) / 4u + item];
    let scales_at = INPUT + c * K + K / 4u;
    let x_scale = x_floats[scales_at + block];
    let next_x_scale = x_floats[scales_at + min(block + 1u, K / 32u - 1u)];
    let is_next = vec4<bool>(next <= 0u, next <= 4u, next <= 8u, next <= 12u);
    let here = select(x, vec4u(), is_next);
    let there = select(vec4u(), x, is_next);
    for (var t = 0u; t < TILES; t++) {
      var dots = Ints();
      var next_dots = Ints();
      for (var w = 0u; w < 4u; w++) {
        dots = add_dots(dots, codes[t][w], here[w]);
        next_dots = add_dots(next_dots, codes[t][w], there[w]);
      }
      (*sums)[c * TILES + t] += scales[t] * (x_scale * Reals(dots)) + next_scales[t] * (next_x_scale * Reals(next_dots));
    }
  }
}
