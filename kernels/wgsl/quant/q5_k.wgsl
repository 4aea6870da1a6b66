// Scales (k-scales.wgsl) | 32 bytes of fifth bits, one sub-block of 32 weights in each bit of the bytes | 128 bytes of codes as
// in q4_k: d * scale * code - dmin * min. 176 bytes.
const ITEM_WORDS = 8u;
const RUNS = 2u;
const SUB = 32u;
const HAS_OFFSET = true;

/// Item: (block, quad of codes).
fn run_at(item: u32, run: u32) -> u32 {
  return 64u * (item >> 1u) + 16u * (item & 1u) + 32u * run;
}

fn fifth(v: Bits, sub: u32) -> Bits {
  return ((v >> Bits(sub)) & Bits(0x01010101u)) << Bits(4u);
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = (at >> Bits(4u)) + Bits(11u * (item >> 3u));
  let head = quads(block);
  let f = quads(block + Bits(1u + (item & 1u)));
  let q = quads(block + Bits(3u + (item & 7u)));
  let g = (item >> 1u) & 3u;
  let s = scales_of(head, g);
  let d = low_half(head[0]);
  let min = -high_half(head[0]);
  return Item(
    array(low_nibbles(q[0]) | fifth(f[0], 2u * g), low_nibbles(q[1]) | fifth(f[1], 2u * g),
      low_nibbles(q[2]) | fifth(f[2], 2u * g), low_nibbles(q[3]) | fifth(f[3], 2u * g),
      high_nibbles(q[0]) | fifth(f[0], 2u * g + 1u), high_nibbles(q[1]) | fifth(f[1], 2u * g + 1u),
      high_nibbles(q[2]) | fifth(f[2], 2u * g + 1u), high_nibbles(q[3]) | fifth(f[3], 2u * g + 1u)),
    array(d * byte_0(s.scales), d * byte_1(s.scales)),
    array(min * byte_0(s.mins), min * byte_1(s.mins)));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = (at >> Bits(4u)) + Bits(11u * (i >> 4u));
  let g = (i >> 2u) & 3u;
  let upper = (i >> 1u) & 1u;
  let head = quads(block);
  let f = quads(block + Bits(1u + (i & 1u)));
  let s = scales_of(head, g);
  var codes = quads(block + Bits(3u + 2u * g + (i & 1u)));
  for (var w = 0u; w < 4u; w++) {
    codes[w] = low_nibbles(codes[w] >> Bits(4u * upper)) | fifth(f[w], 2u * g + upper);
  }
  return Sixteen(
    codes, low_half(head[0]) * byte_0(s.scales >> Bits(8u * upper)),
    -high_half(head[0]) * byte_0(s.mins >> Bits(8u * upper)));
}
