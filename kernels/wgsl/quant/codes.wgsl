// What the files of the quantised types share. Every type gives its weights as  scale * code + offset  with codes of 8 signed
// bits, four in a word, in the order of the columns:
// - load_item: what one thread takes at a time in a product with few rows: RUNS runs of consecutive weights, each inside of
//   one scale, that lie in the same bytes; adjacent items lie in adjacent bytes, so that loads of a subgroup are contiguous
// - load_16: weights 16 i to 16 i + 15, which always share a scale
// `at` is where rows start, in bytes from the start of the binding.
struct Item {
  codes: array<Bits, ITEM_WORDS>,
  scale: array<Reals, RUNS>,
  /// Zero where the type HAS_OFFSET not.
  offset: array<Reals, RUNS>,
}

struct Sixteen {
  codes: array<Bits, 4>,
  scale: Reals,
  offset: Reals,
}

const RUN_WORDS = ITEM_WORDS / RUNS;

/// Four signed bytes as floats. A byte put into the mantissa of 2^23 or 2^15 is that float plus the byte: one integer
/// instruction a byte and an exact subtraction. Integer units are the scarcer ones when four-bit codes are decoded at the
/// rate of the memory.
fn unpack(v: Bits) -> array<Reals, 4> {
  let high = v >> Bits(16u);
  return array(byte_0(v), byte_1(v), byte_0(high), byte_1(high));
}

/// Byte 0, signed.
fn byte_0(v: Bits) -> Reals {
  return bitcast<Reals>((v & Bits(0xffu)) ^ Bits(0x4b000080u)) - Reals(8388736.0);
}

/// Byte 1, signed.
fn byte_1(v: Bits) -> Reals {
  return bitcast<Reals>((v & Bits(0xff00u)) ^ Bits(0x47008000u)) - Reals(32896.0);
}

/// Byte 2, signed.
fn byte_2(v: Bits) -> Reals {
  return byte_0(v >> Bits(16u));
}

/// Subtracts `zero` from four bytes of 0 to 127 at once.
fn center(v: Bits, zero: u32) -> Bits {
  return ((v | Bits(0x80808080u)) - Bits(zero * 0x01010101u)) ^ Bits(0x80808080u);
}

/// Bits 0 to 3 of v become bit 4 of the four bytes.
fn fifth_bits(v: Bits) -> Bits {
  return (((v & Bits(0xfu)) * Bits(0x00204081u)) & Bits(0x01010101u)) << Bits(4u);
}

fn low_nibbles(v: Bits) -> Bits {
  return v & Bits(0x0f0f0f0fu);
}

fn high_nibbles(v: Bits) -> Bits {
  return (v >> Bits(4u)) & Bits(0x0f0f0f0fu);
}

fn values(item: ptr<function, Item>, i: u32) -> array<Reals, 4> {
  return unpack((*item).codes[i]);
}

/// Weights 16 i to 16 i + 15 of each row.
fn decode_16(at: Bits, i: u32) -> array<array<Reals, 4>, 4> {
  let coded = load_16(at, i);
  var result: array<array<Reals, 4>, 4>;
  for (var w = 0u; w < 4u; w++) {
    let codes = unpack(coded.codes[w]);
    for (var b = 0u; b < 4u; b++) {
      result[w][b] = coded.scale * codes[b] + coded.offset;
    }
  }
  return result;
}
