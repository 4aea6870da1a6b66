// 32 bytes of third bits, 32 weights in each bit of the bytes | 64 bytes of codes as in q2_k | 12 bytes: 16 scales of 6 bits |
// d (f16): d * (scale - 32) * (code - 4). 110 bytes.
const ITEM_WORDS = 8u;
const RUNS = 4u;
const SUB = 16u;
const HAS_OFFSET = false;

/// Item: (block, which 128 weights, which two of their eight words).
fn run_at(item: u32, run: u32) -> u32 {
  return 128u * (item >> 2u) + 8u * (item & 3u) + 32u * run;
}

/// Codes of a plane of 32 weights; `third`: its bit in `mask`.
fn three_bits(q: Bits, mask: Bits, plane: u32, third: u32) -> Bits {
  let high = ((mask >> Bits(third)) & Bits(0x01010101u)) << Bits(2u);
  return center(((q >> Bits(2u * plane)) & Bits(0x03030303u)) | high, 4u);
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = at + Bits(110u * (item >> 3u));
  let upper = (item >> 2u) & 1u;
  let pair = item & 3u;
  let mask = words_2(block + Bits(8u * pair));
  let q = words_2(block + Bits(32u + 32u * upper + 8u * pair));
  let d = half_at(block + Bits(108u));
  // Scale s of 16 has four bits in the nibbles of bytes 0 to 7 (low ones first), two more in bytes 8 to 11. Planes 0 and 1,
  // 2 and 3 are two bytes apart there.
  let shift = Bits(8u * (pair >> 1u) + 4u * upper);
  let low = words_2(block + Bits(96u));
  let high = word_at(block + Bits(104u)) >> shift;
  let s_01 = center(((low[0] >> shift) & Bits(0x000f000fu)) | ((high & Bits(0x00030003u)) << Bits(4u)), 32u);
  let s_23 = center(((low[1] >> shift) & Bits(0x000f000fu)) | ((high & Bits(0x000c000cu)) << Bits(2u)), 32u);
  var codes: array<Bits, ITEM_WORDS>;
  for (var plane = 0u; plane < 4u; plane++) {
    codes[2u * plane] = three_bits(q[0], mask[0], plane, 4u * upper + plane);
    codes[2u * plane + 1u] = three_bits(q[1], mask[1], plane, 4u * upper + plane);
  }
  return Item(
    codes,
    array(d * byte_0(s_01), d * byte_2(s_01), d * byte_0(s_23), d * byte_2(s_23)),
    array(Reals(), Reals(), Reals(), Reals()));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = at + Bits(110u * (i >> 4u));
  let sub = i & 15u;
  let half = sub & 1u;
  let mask = words_4(block + Bits(16u * half));
  let q = words_4(block + Bits(32u + 32u * (sub >> 3u) + 16u * half));
  let low = word_at(block + Bits(96u + (sub & 4u))) >> Bits(8u * (sub & 3u) + 4u * (sub >> 3u));
  let high = word_at(block + Bits(104u)) >> Bits(8u * (sub & 3u) + 2u * (sub >> 2u));
  let scale = center((low & Bits(15u)) | ((high & Bits(3u)) << Bits(4u)), 32u);
  var codes: array<Bits, 4>;
  for (var w = 0u; w < 4u; w++) {
    codes[w] = three_bits(q[w], mask[w], (sub >> 1u) & 3u, sub >> 1u);
  }
  return Sixteen(codes, half_at(block + Bits(108u)) * byte_0(scale), Reals());
}
