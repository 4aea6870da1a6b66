// d (f16) | 16 bytes of codes: d * (code - 8); weights 0 to 15 in the low nibbles, 16 to 31 in the high ones. 18 bytes.
const ITEM_WORDS = 4u;
const RUNS = 2u;
const SUB = 32u;
const HAS_OFFSET = false;

fn run_at(item: u32, run: u32) -> u32 {
  return 32u * (item >> 1u) + 8u * (item & 1u) + 16u * run;
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = at + Bits(18u * (item >> 1u));
  let d = half_at(block);
  let q = words_2(block + Bits(2u + 8u * (item & 1u)));
  let codes = array(
    center(low_nibbles(q[0]), 8u), center(low_nibbles(q[1]), 8u),
    center(high_nibbles(q[0]), 8u), center(high_nibbles(q[1]), 8u));
  return Item(codes, array(d, d), array(Reals(), Reals()));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = at + Bits(18u * (i >> 1u));
  var codes = words_4(block + Bits(2u));
  for (var w = 0u; w < 4u; w++) {
    codes[w] = center(low_nibbles(codes[w] >> Bits(4u * (i & 1u))), 8u);
  }
  return Sixteen(codes, half_at(block), Reals());
}
