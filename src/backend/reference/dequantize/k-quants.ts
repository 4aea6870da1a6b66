// The K types (ggml-common.h: block_q2_K and so on): blocks of 256 weights with an f16 scale d, and where weights have
// offsets an f16 dmin; sub-blocks of 16 or 32 weights multiply d and dmin by small integers. Each comment gives the bytes
// of a block; the loops run over the weights in their order.
import { f16At } from '../f16.js';
import type { DecodeBlock } from './blocks-of-32.js';

/** Two bits of weight i out of 64 bytes: 128 weights in each 32 bytes, four planes of 32. */
function crumb(bytes: Uint8Array, qs: number, i: number): number {
  return (bytes[qs + 32 * (i >> 7) + (i & 31)] >> (2 * ((i >> 5) & 3))) & 3;
}

/** Four bits of weight i out of 128 bytes: 64 weights in each 32 bytes, first the low nibbles, then the high ones. */
function nibble(bytes: Uint8Array, qs: number, i: number): number {
  return (bytes[qs + 32 * (i >> 6) + (i & 31)] >> (4 * ((i >> 5) & 1))) & 15;
}

/** scales (16): low nibble scale, high nibble min, of 16 weights each | qs (64) | d (2) | dmin (2) */
export const decodeQ2_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 80);
  const dmin = f16At(bytes, at + 82);
  for (let i = 0; i < 256; i++) {
    const scales = bytes[at + (i >> 4)];
    out[to + i] = d * (scales & 15) * crumb(bytes, at + 16, i) - dmin * (scales >> 4);
  }
};

/** hmask (32): third bits, one plane of 32 weights a bit | qs (64) | scales (12) | d (2) */
export const decodeQ3_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 108);
  for (let i = 0; i < 256; i++) {
    const thirdBit = (bytes[at + (i & 31)] >> (i >> 5)) & 1;
    const code = crumb(bytes, at + 32, i) | (thirdBit << 2);
    out[to + i] = d * scaleOfQ3_K(bytes, at + 96, i >> 4) * (code - 4);
  }
};

/** Scale `s` of 16, biased by 32: four bits in the nibbles of bytes 0..7 (low ones first), two more in bytes 8..11. */
function scaleOfQ3_K(bytes: Uint8Array, scales: number, s: number): number {
  const low = s < 8 ? bytes[scales + s] & 15 : bytes[scales + s - 8] >> 4;
  const high = (bytes[scales + 8 + (s & 3)] >> (2 * (s >> 2))) & 3;
  return (low | (high << 4)) - 32;
}

/** d (2) | dmin (2) | scales (12) | qs (128) */
export const decodeQ4_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  const dmin = f16At(bytes, at + 2);
  for (let s = 0; s < 8; s++) {
    const scale = d * sixBitScale(bytes, at + 4, s);
    const min = dmin * sixBitMin(bytes, at + 4, s);
    for (let i = 32 * s; i < 32 * s + 32; i++) out[to + i] = scale * nibble(bytes, at + 16, i) - min;
  }
};

/** d (2) | dmin (2) | scales (12) | qh (32): fifth bits, one sub-block of 32 weights a bit | qs (128) */
export const decodeQ5_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  const dmin = f16At(bytes, at + 2);
  for (let s = 0; s < 8; s++) {
    const scale = d * sixBitScale(bytes, at + 4, s);
    const min = dmin * sixBitMin(bytes, at + 4, s);
    for (let i = 32 * s; i < 32 * s + 32; i++) {
      const fifthBit = (bytes[at + 16 + (i & 31)] >> s) & 1;
      out[to + i] = scale * (nibble(bytes, at + 48, i) | (fifthBit << 4)) - min;
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
 * ql (128) | qh (64) | scales (16), signed, of 16 weights each | d (2). Each 128 weights are four planes of 32: two in the
 * low nibbles of 64 bytes of ql, two in the high ones, with the upper two bits of plane p in bits 2p of 32 bytes of qh.
 */
export const decodeQ6_K: DecodeBlock = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 208);
  for (let i = 0; i < 256; i++) {
    const half = i >> 7;
    const plane = (i >> 5) & 3;
    const low = (bytes[at + 64 * half + (i & 63)] >> (4 * (plane >> 1))) & 15;
    const high = (bytes[at + 128 + 32 * half + (i & 31)] >> (2 * plane)) & 3;
    const scale = (bytes[at + 192 + (i >> 4)] << 24) >> 24;
    out[to + i] = d * scale * ((low | (high << 4)) - 32);
  }
};
