// d (f16) | 32 signed codes: d * code. 34 bytes.
const ITEM_WORDS = 2u;
const RUNS = 1u;
const SUB = 32u;
const HAS_OFFSET = false;

fn run_at(item: u32, run: u32) -> u32 {
  return 8u * item;
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = at + Bits(34u * (item >> 2u));
  let codes = words_2(block + Bits(2u + 8u * (item & 3u)));
  return Item(codes, array(half_at(block)), array(Reals()));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = at + Bits(34u * (i >> 1u));
  return Sixteen(words_4(block + Bits(2u + 16u * (i & 1u))), half_at(block), Reals());
}
