const PAIRS_OF_ITEMS = false;
override ITEMS: u32 = (K + 4u * ITEM_WORDS - 1u) / (4u * ITEM_WORDS);

/// Adds the products of one item of weights with f32 activations: sums[column * TILES + tile].
fn accumulate(sums: ptr<function, array<Reals, SUMS>>, rows: ptr<function, array<Bits, TILES>>, item: u32) {
  var items: array<Item, TILES>;
  for (var t = 0u; t < TILES; t++) {
    items[t] = load_item((*rows)[t], item);
  }
  for (var run = 0u; run < RUNS; run++) {
    let k = run_at(item, run);
    var products = array<Reals, SUMS>();
    var x_sums = array<f32, COLS>();
    for (var w = 0u; w < RUN_WORDS; w++) {
      var x: array<vec4f, COLS>;
      for (var c = 0u; c < COLS; c++) {
        x[c] = activations(c, k + 4u * w);
        if (HAS_OFFSET) {
          x_sums[c] += (x[c].x + x[c].y) + (x[c].z + x[c].w);
        }
      }
      for (var t = 0u; t < TILES; t++) {
        let v = values(&items[t], run * RUN_WORDS + w);
        for (var c = 0u; c < COLS; c++) {
          products[c * TILES + t] += v[0] * x[c].x + v[1] * x[c].y + v[2] * x[c].z + v[3] * x[c].w;
        }
      }
    }
    for (var c = 0u; c < COLS; c++) {
      for (var t = 0u; t < TILES; t++) {
        (*sums)[c * TILES + t] += items[t].scale[run] * products[c * TILES + t];
        if (HAS_OFFSET) {
          (*sums)[c * TILES + t] += items[t].offset[run] * x_sums[c];
        }
      }
    }
  }
}
