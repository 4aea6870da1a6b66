import { f16At } from '../f16.js';

/** Decodes `out.length` weights that start at byte `at`. The decoders of all types have this shape. */
export type DecodeRow = (bytes: Uint8Array, at: number, out: Float64Array) => void;

export const decodeF32: DecodeRow = (bytes, at, out) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(at + 4 * i, true);
};

export const decodeF16: DecodeRow = (bytes, at, out) => {
  for (let i = 0; i < out.length; i++) out[i] = f16At(bytes, at + 2 * i);
};

const bfloat = new Float32Array(1);
const bfloatBits = new Uint32Array(bfloat.buffer);

/** The upper half of an f32. */
export const decodeBF16: DecodeRow = (bytes, at, out) => {
  for (let i = 0; i < out.length; i++) {
    bfloatBits[0] = ((bytes[at + 2 * i] << 16) | (bytes[at + 2 * i + 1] << 24)) >>> 0;
    out[i] = bfloat[0];
  }
};
