/** The number behind each of the 65536 half-precision codes (IEEE 754 binary16), exact. */
const VALUES = Float32Array.from({ length: 0x10000 }, (_, code) => {
  const sign = code & 0x8000 ? -1 : 1;
  const exponent = (code >> 10) & 31;
  const fraction = code & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
});

export function f16ToNumber(code: number): number {
  return VALUES[code];
}

/** The half-precision number that starts at byte `at`, little-endian, at any alignment. */
export function f16At(bytes: Uint8Array, at: number): number {
  return VALUES[bytes[at] | (bytes[at + 1] << 8)];
}

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** The code of the half nearest to `value` as an f32, ties to the even one; 65520 and more become infinity. */
export function numberToF16(value: number): number {
  float[0] = value;
  const sign = (floatBits[0] >>> 16) & 0x8000;
  const magnitude = Math.abs(float[0]);
  if (Number.isNaN(magnitude)) return sign | 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  // Below 2^-14 halves are whole multiples of 2^-24, and so are the codes.
  if (magnitude < 2 ** -14) return sign | roundToEven(magnitude * 2 ** 24);
  const exponent = ((floatBits[0] >>> 23) & 255) - 127;
  // In units of the last place: 1024 to 2048, whose leading one (and a carry out of rounding) adds to the exponent field.
  return sign | (((exponent + 14) << 10) + roundToEven(magnitude * 2 ** (10 - exponent)));
}

/** Doubles of 2^52 and more have no fraction, so the addition rounds; 0 <= value < 2^51. */
function roundToEven(value: number): number {
  return value + 2 ** 52 - 2 ** 52;
}
