// Half precision as bits, for devices without shader-f16.

/// The half nearest to `value`, ties to the even one; 65520 and more become infinity. In integers, because the rounding of
/// pack2x16float is the implementation's choice (WGSL, section 15.7.6).
fn half_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let magnitude = bits & 0x7fffffffu;
  // Exponents are biased by 127 and 15; 13 bits of the fraction go. A carry out of rounding belongs in the exponent.
  let normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u;
  // Below 2^-14: multiples of 2^-24, which is what the last bit of a number from 0.5 on stands for.
  let small = bitcast<u32>(bitcast<f32>(magnitude) + 0.5) - 0x3f000000u;
  var half = select(normal, small, magnitude < 0x38800000u);
  half = select(half, 0x7c00u, magnitude >= 0x477ff000u);
  half = select(half, 0x7e00u, magnitude > 0x7f800000u);
  return half | ((bits >> 16u) & 0x8000u);
}
