// d (f16) | m (f16) | 16 bytes of codes as in q4_0: d * code + m. 20 bytes.
const ITEM_WORDS = 4u;
const RUNS = 2u;
const SUB = 32u;
const HAS_OFFSET = true;

fn run_at(item: u32, run: u32) -> u32 {
  return 32u * (item >> 1u) + 8u * (item & 1u) + 16u * run;
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = (at >> Bits(2u)) + Bits(5u * (item >> 1u));
  let head = words(block);
  let first = block + Bits(1u + 2u * (item & 1u));
  let a = words(first);
  let b = words(first + Bits(1u));
  let d = low_half(head);
  let m = high_half(head);
  return Item(array(low_nibbles(a), low_nibbles(b), high_nibbles(a), high_nibbles(b)), array(d, d), array(m, m));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = (at >> Bits(2u)) + Bits(5u * (i >> 1u));
  let head = words(block);
  var codes: array<Bits, 4>;
  for (var w = 0u; w < 4u; w++) {
    codes[w] = low_nibbles(words(block + Bits(1u + w)) >> Bits(4u * (i & 1u)));
  }
  return Sixteen(codes, low_half(head), high_half(head));
}
