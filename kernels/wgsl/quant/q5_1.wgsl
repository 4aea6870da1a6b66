// d (f16) | m (f16) | 32 fifth bits, one a weight | 16 bytes of codes as in q4_0: d * code + m. 24 bytes.
const ITEM_WORDS = 4u;
const RUNS = 2u;
const SUB = 32u;
const HAS_OFFSET = true;

fn run_at(item: u32, run: u32) -> u32 {
  return 32u * (item >> 1u) + 8u * (item & 1u) + 16u * run;
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = (at >> Bits(2u)) + Bits(6u * (item >> 1u));
  let head = words(block);
  let fifths = words(block + Bits(1u)) >> Bits(8u * (item & 1u));
  let first = block + Bits(2u + 2u * (item & 1u));
  let a = words(first);
  let b = words(first + Bits(1u));
  let d = low_half(head);
  let m = high_half(head);
  let codes = array(
    low_nibbles(a) | fifth_bits(fifths),
    low_nibbles(b) | fifth_bits(fifths >> Bits(4u)),
    high_nibbles(a) | fifth_bits(fifths >> Bits(16u)),
    high_nibbles(b) | fifth_bits(fifths >> Bits(20u)));
  return Item(codes, array(d, d), array(m, m));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = (at >> Bits(2u)) + Bits(6u * (i >> 1u));
  let head = words(block);
  let fifths = words(block + Bits(1u)) >> Bits(16u * (i & 1u));
  var codes: array<Bits, 4>;
  for (var w = 0u; w < 4u; w++) {
    let q = words(block + Bits(2u + w)) >> Bits(4u * (i & 1u));
    codes[w] = low_nibbles(q) | fifth_bits(fifths >> Bits(4u * w));
  }
  return Sixteen(codes, low_half(head), high_half(head));
}
