// d (f16) | 32 fifth bits, one a weight | 16 bytes of codes as in q4_0: d * (code - 16). 22 bytes.
const ITEM_WORDS = 4u;
const RUNS = 2u;
const SUB = 32u;
const HAS_OFFSET = false;

fn run_at(item: u32, run: u32) -> u32 {
  return 32u * (item >> 1u) + 8u * (item & 1u) + 16u * run;
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = at + Bits(22u * (item >> 1u));
  let d = half_at(block);
  let fifths = word_at(block + Bits(2u)) >> Bits(8u * (item & 1u));
  let q = words_2(block + Bits(6u + 8u * (item & 1u)));
  let codes = array(
    center(low_nibbles(q[0]) | fifth_bits(fifths), 16u),
    center(low_nibbles(q[1]) | fifth_bits(fifths >> Bits(4u)), 16u),
    center(high_nibbles(q[0]) | fifth_bits(fifths >> Bits(16u)), 16u),
    center(high_nibbles(q[1]) | fifth_bits(fifths >> Bits(20u)), 16u));
  return Item(codes, array(d, d), array(Reals(), Reals()));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = at + Bits(22u * (i >> 1u));
  let fifths = word_at(block + Bits(2u)) >> Bits(16u * (i & 1u));
  var codes = words_4(block + Bits(6u));
  for (var w = 0u; w < 4u; w++) {
    codes[w] = center(low_nibbles(codes[w] >> Bits(4u * (i & 1u))) | fifth_bits(fifths >> Bits(4u * w)), 16u);
  }
  return Sixteen(codes, half_at(block), Reals());
}
