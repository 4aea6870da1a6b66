// Weights and activations for timing: random bytes, with scales that give usual numbers.
import { TYPES, typeBytes } from '../../dist/gguf/types.js';

/** Where the f16 scales of a block are. */
const SCALES = {
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q8_0: [0],
  Q2_K: [80, 82],
  Q3_K: [108],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

let state = 1;

/** Uniform in [0, 1): a linear congruential generator (Numerical Recipes). */
export function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

/** The code of a positive f16 in its normal range. */
function half(value) {
  const exponent = Math.floor(Math.log2(value));
  return ((exponent + 15) << 10) | (Math.round((value / 2 ** exponent - 1) * 1024) & 1023);
}

/** `rows` rows of `cols` weights of a type in GGUF's bytes. */
export function randomRows(type, rows, cols) {
  const bytes = new Uint8Array(rows * typeBytes(type, cols));
  const view = new DataView(bytes.buffer);
  const { blockBytes } = TYPES[type];
  if (type in SCALES) {
    for (let i = 0; i < bytes.length; i++) bytes[i] = 256 * random();
    for (let block = 0; block < bytes.length; block += blockBytes) {
      for (const at of SCALES[type]) view.setUint16(block + at, half(0.001 + 0.01 * random()), true);
    }
    return bytes;
  }
  for (let i = 0; i < rows * cols; i++) {
    const value = random() - 0.5;
    if (type === 'F32') view.setFloat32(4 * i, value, true);
    if (type === 'F16') view.setUint16(2 * i, half(Math.abs(value) + 0.001) | (value < 0 ? 0x8000 : 0), true);
    if (type === 'BF16') view.setUint16(2 * i, new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16, true);
  }
  return bytes;
}
