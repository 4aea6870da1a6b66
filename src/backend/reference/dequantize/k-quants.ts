// The K types (ggml-common.h: block_q2_K and so on): blocks of 256 weights with an f16 scale d, and where weights have
// offsets an f16 dmin; sub-blocks of 16 or 32 weights multiply d and dmin by small integers. Each comment gives the bytes
// of a block. Bits of codes lie in planes: 32 neighbouring weights have theirs at one shift in 32 neighbouring bytes, the
// next 32 weights at the next shift. In the loops s counts sub-blocks and i the weights of one.
import { f16At } from '../f16.js';
import type { DecodeBlock } from './blocks-of-32.js';

/** scales (16): low nibble scale, high nibble min, of 16 weights each | qs (64): 4 planes, twice | d (2) | dmin (2) */
export const decodeQ2_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 80);
  const dmin = f16At(bytes, at + 82);
  for (let s = 0; s < 16; s++) {
    const scale = d * (bytes[at + s] & 15);
    const min = dmin * (bytes[at + s] >> 4);
    const qs = at + 16 + 32 * (s >> 3) + 16 * (s & 1);
    const shift = 2 * ((s >> 1) & 3);
    for (let i = 0; i < 16; i++) out[to + 16 * s + i] = scale * ((bytes[qs + i] >> shift) & 3) - min;
  }
};

/** hmask (32): third bits, 8 planes | qs (64): 4 planes, twice | scales (12) | d (2) */
export const decodeQ3_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 108);
  for (let s = 0; s < 16; s++) {
    const scale = d * scaleOfQ3_K(bytes, at + 96, s);
    const hmask = at + 16 * (s & 1);
    const qs = at + 32 + 32 * (s >> 3) + 16 * (s & 1);
    const shift = 2 * ((s >> 1) & 3);
    for (let i = 0; i < 16; i++) {
      const thirdBit = (bytes[hmask + i] >> (s >> 1)) & 1;
      out[to + 16 * s + i] = scale * ((((bytes[qs + i] >> shift) & 3) | (thirdBit << 2)) - 4);
    }
  }
};

/** Scale `s` of 16, biased by 32: four bits in the nibbles of bytes 0..7 (low ones first), two more in bytes 8..11. */
function scaleOfQ3_K(bytes: Uint8Array, scales: number, s: number): number {
  const low = s < 8 ? bytes[scales + s] & 15 : bytes[scales + s - 8] >> 4;
  const high = (bytes[scales + 8 + (s & 3)] >> (2 * (s >> 2))) & 3;
  return (low | (high << 4)) - 32;
}

/** d (2) | dmin (2) | scales (12) | qs (128): 2 planes, four times */
export const decodeQ4_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  const dmin = f16At(bytes, at + 2);
  for (let s = 0; s < 8; s++) {
    const scale = d * sixBitScale(bytes, at + 4, s);
    const min = dmin * sixBitMin(bytes, at + 4, s);
    const qs = at + 16 + 32 * (s >> 1);
    const shift = 4 * (s & 1);
    for (let i = 0; i < 32; i++) out[to + 32 * s + i] = scale * ((bytes[qs + i] >> shift) & 15) - min;
  }
};

/** d (2) | dmin (2) | scales (12) | qh (32): fifth bits, 8 planes | qs (128): 2 planes, four times */
export const decodeQ5_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  const dmin = f16At(bytes, at + 2);
  const qh = at + 16;
  for (let s = 0; s < 8; s++) {
    const scale = d * sixBitScale(bytes, at + 4, s);
    const min = dmin * sixBitMin(bytes, at + 4, s);
    const qs = at + 48 + 32 * (s >> 1);
    const shift = 4 * (s & 1);
    for (let i = 0; i < 32; i++) {
      const fifthBit = (bytes[qh + i] >> s) & 1;
      out[to + 32 * s + i] = scale * (((bytes[qs + i] >> shift) & 15) | (fifthBit << 4)) - min;
    }
  }
};

/**
 * Scale `s` of the eight in the twelve bytes of Q4_K and Q5_K. The first four are the low six bits of bytes 0..3; the
 * others have their low four bits in the low nibbles of bytes 8..11 and two more on top of bytes 0..3.
 */
function sixBitScale(bytes: Uint8Array, scales: number, s: number): number {
  return s < 4 ? bytes[scales + s] & 63 : (bytes[scales + s + 4] & 15) | ((bytes[scales + s - 4] >> 6) << 4);
}

/** The mins likewise: bytes 4..7, then the high nibbles of bytes 8..11 and the tops of bytes 4..7. */
function sixBitMin(bytes: Uint8Array, scales: number, s: number): number {
  return s < 4 ? bytes[scales + s + 4] & 63 : (bytes[scales + s + 4] >> 4) | ((bytes[scales + s] >> 6) << 4);
}

/**
 * ql (128): low four bits, 64 weights in the low nibbles of 64 bytes, 64 in the high ones, twice | qh (64): upper two bits,
 * 4 planes, twice | scales (16), signed, of 16 weights each | d (2)
 */
export const decodeQ6_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 208);
  for (let s = 0; s < 16; s++) {
    const scale = d * ((bytes[at + 192 + s] << 24) >> 24);
    const ql = at + 64 * (s >> 3) + 16 * (s & 3);
    const qh = at + 128 + 32 * (s >> 3) + 16 * (s & 1);
    const lowShift = 4 * ((s >> 2) & 1);
    const highShift = 2 * ((s >> 1) & 3);
    for (let i = 0; i < 16; i++) {
      const low = (bytes[ql + i] >> lowShift) & 15;
      const high = (bytes[qh + i] >> highShift) & 3;
      out[to + 16 * s + i] = scale * ((low | (high << 4)) - 32);
    }
  }
};
