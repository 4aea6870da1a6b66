// Activations of 8 bits, as code-rows.write.wgsl lays them out.

/// The first word of them.
override INPUT: u32;
const PAIRS_OF_ITEMS = false;
override ITEMS: u32 = K / (4u * ITEM_WORDS);

@group(0) @binding(7) var<storage, read> x_floats: array<f32>;

/// Adds the products of one item of weights with the activations' codes: sums[column * TILES + tile].
fn accumulate(sums: ptr<function, array<Reals, SUMS>>, rows: ptr<function, array<Bits, TILES>>, item: u32) {
  var items: array<Item, TILES>;
  for (var t = 0u; t < TILES; t++) {
    items[t] = load_item((*rows)[t], item);
  }
  for (var run = 0u; run < RUNS; run++) {
    let k = run_at(item, run);
    for (var c = 0u; c < COLS; c++) {
      let x = run_codes(INPUT + c * K + k / 4u);
      let x_scale = x_floats[INPUT + c * K + K / 4u + k / 32u];
      var x_sum = 0i;
      if (HAS_OFFSET) {
        for (var w = 0u; w < RUN_WORDS; w++) {
          x_sum += dot4I8Packed(x[w], 0x01010101u);
        }
      }
      for (var t = 0u; t < TILES; t++) {
        var dots = Ints();
        for (var w = 0u; w < RUN_WORDS; w++) {
          dots = add_dots(dots, items[t].codes[run * RUN_WORDS + w], x[w]);
        }
        var product = items[t].scale[run] * Reals(dots);
        if (HAS_OFFSET) {
          product += items[t].offset[run] * f32(x_sum);
        }
        (*sums)[c * TILES + t] += x_scale * product;
      }
    }
  }
}
