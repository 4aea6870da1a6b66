// Half precision as bits, for devices without shader-f16.

/// The half nearest to `value`, ties to the even one; 65520 and more become infinity. In integers, because the rounding of
/// pack2x16float is the implementation's choice (WGSL, section 15.7.6).
fn half_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return sign | 0x7e00u;
  }
  if (magnitude >= 0x477ff000u) {
    return sign | 0x7c00u;
  }
  if (magnitude >= 0x38800000u) {
    // Exponents are biased by 127 and 15; 13 bits of the fraction go. A carry out of rounding belongs in the exponent.
    return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13);
  }
  // Below 2^-14: whole multiples of 2^-24. The 24 bits of the fraction stand for multiples of 2^(exponent - 150).
  let shift = 126u - (magnitude >> 23);
  if (shift > 25u) {
    return sign;
  }
  let fraction = (magnitude & 0x7fffffu) | 0x800000u;
  let whole = fraction >> shift;
  let rest = fraction & ((1u << shift) - 1u);
  let tie = 1u << (shift - 1u);
  let up = rest > tie || (rest == tie && (whole & 1u) == 1u);
  return sign | (whole + select(0u, 1u, up));
}
