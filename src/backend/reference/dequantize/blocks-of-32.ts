// Types whose blocks are 32 weights with one f16 scale d, and for the _1 types an f16 offset m (ggml-common.h: block_q4_0
// and so on). Each comment gives the bytes of a block. Codes of four bits: weights 0..15 are the low nibbles of qs, weights
// 16..31 the high ones.
import { f16At } from '../f16.js';

/** Decodes the block that starts at byte `at` to out[to...]. */
export type DecodeBlock = (bytes: Uint8Array, at: number, out: Float64Array, to: number) => void;

function nibble(bytes: Uint8Array, qs: number, i: number): number {
  return i < 16 ? bytes[qs + i] & 15 : bytes[qs + i - 16] >> 4;
}

/** Bit i of the 32 that start at byte `qh`, as the fifth bit of a code. */
function fifthBit(bytes: Uint8Array, qh: number, i: number): number {
  return ((bytes[qh + (i >> 3)] >> (i & 7)) & 1) << 4;
}

/** d (2) | qs (16): d * (code - 8) */
export const decodeQ4_0: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * (nibble(bytes, at + 2, i) - 8);
};

/** d (2) | m (2) | qs (16): d * code + m */
export const decodeQ4_1: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  const m = f16At(bytes, at + 2);
  for (let i = 0; i < 32; i++) out[to + i] = d * nibble(bytes, at + 4, i) + m;
};

/** d (2) | qh (4) | qs (16): d * (code - 16), the fifth bits in qh */
export const decodeQ5_0: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  for (let i = 0; i < 32; i++) {
    const code = nibble(bytes, at + 6, i) | fifthBit(bytes, at + 2, i);
    out[to + i] = d * (code - 16);
  }
};

/** d (2) | m (2) | qh (4) | qs (16): d * code + m */
export const decodeQ5_1: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  const m = f16At(bytes, at + 2);
  for (let i = 0; i < 32; i++) {
    const code = nibble(bytes, at + 8, i) | fifthBit(bytes, at + 4, i);
    out[to + i] = d * code + m;
  }
};

/** d (2) | qs (32): d * code, codes signed */
export const decodeQ8_0: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * ((bytes[at + 2 + i] << 24) >> 24);
};
