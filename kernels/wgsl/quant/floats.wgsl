// What f32, f16 and bf16 share: a weight is itself, an item is four of them. Rows may end anywhere: what lies beyond K is zero.
const ITEM_WORDS = 1u;
const RUNS = 1u;
const RUN_WORDS = 1u;
const HAS_OFFSET = false;

struct Item {
  weights: array<Reals, 4>,
  scale: array<Reals, RUNS>,
  offset: array<Reals, RUNS>,
}

fn run_at(item: u32, run: u32) -> u32 {
  return 4u * item;
}

fn load_item(at: Bits, item: u32) -> Item {
  return Item(load_4(at, 4u * item), array(Reals(1.0)), array(Reals()));
}

fn values(item: ptr<function, Item>, i: u32) -> array<Reals, 4> {
  return (*item).weights;
}

/// Weights 16 i to 16 i + 15 of each row.
fn decode_16(at: Bits, i: u32) -> array<array<Reals, 4>, 4> {
  var result: array<array<Reals, 4>, 4>;
  for (var w = 0u; w < 4u; w++) {
    result[w] = load_4(at, 16u * i + 4u * w);
  }
  return result;
}

/// v, or zero beyond the row. The first condition is known when the pipeline is made.
fn inside(k: u32, v: Reals) -> Reals {
  return select(Reals(), v, K % 16u == 0u || k < K);
}
