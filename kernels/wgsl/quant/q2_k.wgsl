// 16 bytes: scale in the low nibble, min in the high one, of 16 weights each | 64 bytes of codes | d (f16) | dmin (f16):
// d * scale * code - dmin * min. Each 32 bytes of codes hold 128 weights, 32 in each two bits of the bytes. 84 bytes.
const ITEM_WORDS = 8u;
const RUNS = 4u;
const SUB = 16u;
const HAS_OFFSET = true;

/// Item: (block, which 128 weights, which two of their eight words).
fn run_at(item: u32, run: u32) -> u32 {
  return 128u * (item >> 2u) + 8u * (item & 3u) + 32u * run;
}

fn crumbs(v: Bits, plane: u32) -> Bits {
  return (v >> Bits(2u * plane)) & Bits(0x03030303u);
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = (at >> Bits(2u)) + Bits(21u * (item >> 3u));
  let upper = (item >> 2u) & 1u;
  let pair = item & 3u;
  let first = block + Bits(4u + 8u * upper + 2u * pair);
  let a = words(first);
  let b = words(first + Bits(1u));
  let head = words(block + Bits(20u));
  // The bytes of planes 0 and 1, 2 and 3 are 2 apart.
  let shift = Bits(8u * (pair >> 1u));
  let s_01 = words(block + Bits(2u * upper)) >> shift;
  let s_23 = words(block + Bits(2u * upper + 1u)) >> shift;
  let d = low_half(head);
  let min = -high_half(head);
  let m_01 = high_nibbles(s_01);
  let m_23 = high_nibbles(s_23);
  let l_01 = low_nibbles(s_01);
  let l_23 = low_nibbles(s_23);
  return Item(
    array(crumbs(a, 0u), crumbs(b, 0u), crumbs(a, 1u), crumbs(b, 1u), crumbs(a, 2u), crumbs(b, 2u), crumbs(a, 3u),
      crumbs(b, 3u)),
    array(d * byte_0(l_01), d * byte_2(l_01), d * byte_0(l_23), d * byte_2(l_23)),
    array(min * byte_0(m_01), min * byte_2(m_01), min * byte_0(m_23), min * byte_2(m_23)));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = (at >> Bits(2u)) + Bits(21u * (i >> 4u));
  let sub = i & 15u;
  let head = words(block + Bits(20u));
  let scales = words(block + Bits(sub >> 2u)) >> Bits(8u * (sub & 3u));
  let first = block + Bits(4u + 8u * (sub >> 3u) + 4u * (sub & 1u));
  var codes: array<Bits, 4>;
  for (var w = 0u; w < 4u; w++) {
    codes[w] = crumbs(words(first + Bits(w)), (sub >> 1u) & 3u);
  }
  return Sixteen(
    codes, low_half(head) * byte_0(low_nibbles(scales)), -high_half(head) * byte_0(high_nibbles(scales)));
}
