// The scales and mins of q4_k and q5_k: d (f16) | dmin (f16) | 12 bytes with eight scales and eight mins of 6 bits. The first
// four scales are the low 6 bits of bytes 0 to 3, the first four mins of bytes 4 to 7; the others have their low 4 bits in the
// nibbles of bytes 8 to 11 (scales low, mins high) and two more on top of bytes 0 to 3 and 4 to 7.
struct Scales {
  /// Of sub-blocks 2 g and 2 g + 1, in bytes 0 and 1.
  scales: Bits,
  mins: Bits,
}

fn scales_of(head: array<Bits, 4>, g: u32) -> Scales {
  let shift = Bits(16u * (g & 1u));
  let a = head[1] >> shift;
  let b = head[2] >> shift;
  let c = head[3] >> shift;
  let scales = (c & Bits(0x0f0fu)) | ((a >> Bits(2u)) & Bits(0x3030u));
  let mins = ((c >> Bits(4u)) & Bits(0x0f0fu)) | ((b >> Bits(2u)) & Bits(0x3030u));
  return Scales(select(scales, a & Bits(0x3f3fu), g < 2u), select(mins, b & Bits(0x3f3fu), g < 2u));
}
