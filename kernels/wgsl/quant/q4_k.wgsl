// Scales (k-scales.wgsl) | 128 bytes of codes: d * scale * code - dmin * min. Each 32 bytes of codes hold 64 weights, the
// first 32 in the low nibbles. 144 bytes.
const ITEM_WORDS = 8u;
const RUNS = 2u;
const SUB = 32u;
const HAS_OFFSET = true;

/// Item: (block, quad of codes).
fn run_at(item: u32, run: u32) -> u32 {
  return 64u * (item >> 1u) + 16u * (item & 1u) + 32u * run;
}

fn load_item(at: Bits, item: u32) -> Item {
  let block = (at >> Bits(4u)) + Bits(9u * (item >> 3u));
  let head = quads(block);
  let q = quads(block + Bits(1u + (item & 7u)));
  let s = scales_of(head, (item >> 1u) & 3u);
  let d = low_half(head[0]);
  let min = -high_half(head[0]);
  return Item(
    array(low_nibbles(q[0]), low_nibbles(q[1]), low_nibbles(q[2]), low_nibbles(q[3]),
      high_nibbles(q[0]), high_nibbles(q[1]), high_nibbles(q[2]), high_nibbles(q[3])),
    array(d * byte_0(s.scales), d * byte_1(s.scales)),
    array(min * byte_0(s.mins), min * byte_1(s.mins)));
}

fn load_16(at: Bits, i: u32) -> Sixteen {
  let block = (at >> Bits(4u)) + Bits(9u * (i >> 4u));
  let g = (i >> 2u) & 3u;
  let upper = (i >> 1u) & 1u;
  let head = quads(block);
  let s = scales_of(head, g);
  var codes = quads(block + Bits(1u + 2u * g + (i & 1u)));
  for (var w = 0u; w < 4u; w++) {
    codes[w] = low_nibbles(codes[w] >> Bits(4u * upper));
  }
  return Sixteen(
    codes, low_half(head[0]) * byte_0(s.scales >> Bits(8u * upper)),
    -high_half(head[0]) * byte_0(s.mins >> Bits(8u * upper)));
}
