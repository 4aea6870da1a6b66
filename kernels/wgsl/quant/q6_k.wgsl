// 128 bytes with the lower 4 bits of the codes | 64 bytes with the upper 2 | 16 signed scales of 16 weights each | d (f16):
// d * scale * (code - 32). 128 weights are four planes of 32: two in the low nibbles of 64 bytes, two in the high ones, and
// the upper bits of plane p in bits 2 p of 32 bytes. 210 bytes.
const ITEM_WORDS = 8u;
const RUNS = 4u;
const SUB = 16u;
const HAS_OFFSET = false;

/// Item: (block, which 128 weights, which two of the eight words of a plane).
fn run_at(item: u32, run: u32) -> u32 {
  return 128u * (item >> 2u) + 8u * (item & 3u) + 32u * run;
}

/// The upper bits of a plane above `low`.
fn six_bits(low: Bits, high: Bits, plane: u32) -> Bits {
  return center(low | (((high >> Bits(2u * plane)) & Bits(0x03030303u)) << Bits(4u)), 32u);
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = at + Bits(210u * (item >> 3u));
  let upper = (item >> 2u) & 1u;
  let pair = item & 3u;
  let a = words_2(block + Bits(64u * upper + 8u * pair));
  let b = words_2(block + Bits(64u * upper + 32u + 8u * pair));
  let h = words_2(block + Bits(128u + 32u * upper + 8u * pair));
  let scales = words_2(block + Bits(192u + 8u * upper));
  let d = half_at(block + Bits(208u));
  // The bytes of planes 0 and 1, 2 and 3 are 2 apart.
  let s_01 = scales[0] >> Bits(8u * (pair >> 1u));
  let s_23 = scales[1] >> Bits(8u * (pair >> 1u));
  return Item(
    array(six_bits(low_nibbles(a[0]), h[0], 0u), six_bits(low_nibbles(a[1]), h[1], 0u),
      six_bits(low_nibbles(b[0]), h[0], 1u), six_bits(low_nibbles(b[1]), h[1], 1u),
      six_bits(high_nibbles(a[0]), h[0], 2u), six_bits(high_nibbles(a[1]), h[1], 2u),
      six_bits(high_nibbles(b[0]), h[0], 3u), six_bits(high_nibbles(b[1]), h[1], 3u)),
    array(d * byte_0(s_01), d * byte_2(s_01), d * byte_0(s_23), d * byte_2(s_23)),
    array(Reals(), Reals(), Reals(), Reals()));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = at + Bits(210u * (i >> 4u));
  let sub = i & 15u;
  let upper = sub >> 3u;
  let plane = (sub >> 1u) & 3u;
  let low = words_4(block + Bits(64u * upper + 32u * (plane & 1u) + 16u * (sub & 1u)));
  let high = words_4(block + Bits(128u + 32u * upper + 16u * (sub & 1u)));
  let scales = word_at(block + Bits(192u + (sub & 12u))) >> Bits(8u * (sub & 3u));
  var codes: array<Bits, 4>;
  for (var w = 0u; w < 4u; w++) {
    codes[w] = six_bits(low_nibbles(low[w] >> Bits(4u * (plane >> 1u))), high[w], plane);
  }
  return Sixteen(codes, half_at(block + Bits(208u)) * byte_0(scales), Reals());
}
