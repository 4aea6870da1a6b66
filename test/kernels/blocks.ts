// Packs blocks of the quantised types out of known scales, mins and codes: the inverse of decoding, written from the layouts
// (ggml-common.h) and knowing nothing of src/. A weight is  d * scale * (code - zero) - dmin * min,  with one scale and one
// min for every `sub` weights.
import type { GgmlType } from '../../src/gguf/types.js';

export type QuantType = Exclude<GgmlType, 'F32' | 'F16' | 'BF16'>;

/** A half-precision number by the fields of its code. */
export interface Half {
  readonly code: number;
  readonly value: number;
}

/** (-1)^sign * 2^(exponent - 15) * (1 + fraction / 1024); exponent 0: (-1)^sign * 2^-14 * fraction / 1024 */
export function half(sign: 0 | 1, exponent: number, fraction: number): Half {
  const magnitude = exponent === 0 ? 2 ** -14 * (fraction / 1024) : 2 ** (exponent - 15) * (1 + fraction / 1024);
  return { code: (sign << 15) | (exponent << 10) | fraction, value: sign ? -magnitude : magnitude };
}

/** What the fields of a type may hold. */
export interface QuantTraits {
  readonly weights: 32 | 256;
  readonly bytes: number;
  /** Codes run from 0 to codes - 1. */
  readonly codes: number;
  readonly zero: number;
  readonly sub: number;
  /** Range of the sub-block scales; [1, 1] where a type has none. */
  readonly scales: readonly [number, number];
  /** Range of the sub-block mins; null where a type has none. The _1 types store m = -dmin * 1. */
  readonly mins: readonly [number, number] | null;
}

const simple = (bytes: number, codes: number, zero: number, mins: readonly [number, number] | null): QuantTraits => ({
  weights: 32,
  bytes,
  codes,
  zero,
  sub: 32,
  scales: [1, 1],
  mins,
});

export const QUANTS: Record<QuantType, QuantTraits> = {
  Q4_0: simple(18, 16, 8, null),
  Q4_1: simple(20, 16, 0, [1, 1]),
  Q5_0: simple(22, 32, 16, null),
  Q5_1: simple(24, 32, 0, [1, 1]),
  Q8_0: simple(34, 256, 128, null),
  Q2_K: { weights: 256, bytes: 84, codes: 4, zero: 0, sub: 16, scales: [0, 15], mins: [0, 15] },
  Q3_K: { weights: 256, bytes: 110, codes: 8, zero: 4, sub: 16, scales: [-32, 31], mins: null },
  Q4_K: { weights: 256, bytes: 144, codes: 16, zero: 0, sub: 32, scales: [0, 63], mins: [0, 63] },
  Q5_K: { weights: 256, bytes: 176, codes: 32, zero: 0, sub: 32, scales: [0, 63], mins: [0, 63] },
  Q6_K: { weights: 256, bytes: 210, codes: 64, zero: 32, sub: 16, scales: [-128, 127], mins: null },
};

export interface Fields {
  readonly d: Half;
  readonly dmin: Half;
  /** One a sub-block. */
  readonly scales: readonly number[];
  readonly mins: readonly number[];
  /** One a weight. */
  readonly codes: readonly number[];
}

/** The weights that the fields stand for. */
export function valuesOf(type: QuantType, { d, dmin, scales, mins, codes }: Fields): number[] {
  const { zero, sub, mins: hasMins } = QUANTS[type];
  return codes.map((code, i) => {
    const s = Math.floor(i / sub);
    return d.value * scales[s] * (code - zero) - (hasMins ? dmin.value * mins[s] : 0);
  });
}

/**
 * The size of the terms that a kernel may sum for each weight, however it deals with the zero point and the min: rounding
 * errors of f32 go with these, not with the weight.
 */
export function magnitudesOf(type: QuantType, { d, dmin, scales, mins, codes }: Fields): number[] {
  const { zero, sub, mins: hasMins } = QUANTS[type];
  return codes.map((code, i) => {
    const s = Math.floor(i / sub);
    return Math.abs(d.value * scales[s]) * (code + zero) + (hasMins ? Math.abs(dmin.value * mins[s]) : 0);
  });
}

export function packBlock(type: QuantType, fields: Fields): Uint8Array {
  const block = new Uint8Array(QUANTS[type].bytes);
  PACKERS[type](block, fields);
  return block;
}

function putHalf(block: Uint8Array, at: number, { code }: Half): void {
  block[at] = code & 255;
  block[at + 1] = code >> 8;
}

/** m of the _1 types is added, so it is the negated min. */
function negated({ code }: Half): Half {
  return { code: code ^ 0x8000, value: Number.NaN };
}

function putNibbles32(block: Uint8Array, at: number, codes: readonly number[]): void {
  for (let i = 0; i < 16; i++) block[at + i] = (codes[i] & 15) + 16 * (codes[i + 16] & 15);
}

function putFifthBits32(block: Uint8Array, at: number, codes: readonly number[]): void {
  codes.forEach((code, i) => {
    if (code & 16) block[at + Math.floor(i / 8)] += 2 ** (i % 8);
  });
}

/** Bits 0 and 1 of 256 codes: plane after plane of 32 in each half. */
function putCrumbs(block: Uint8Array, at: number, codes: readonly number[]): void {
  for (let half = 0; half < 2; half++) {
    for (let plane = 0; plane < 4; plane++) {
      for (let l = 0; l < 32; l++) block[at + 32 * half + l] += (codes[128 * half + 32 * plane + l] % 4) * 4 ** plane;
    }
  }
}

/** Bits 0 to 3 of 256 codes: 32 low nibbles and 32 high ones, four times. */
function putNibbles256(block: Uint8Array, at: number, codes: readonly number[]): void {
  for (let chunk = 0; chunk < 4; chunk++) {
    for (let l = 0; l < 32; l++) {
      block[at + 32 * chunk + l] = (codes[64 * chunk + l] % 16) + 16 * (codes[64 * chunk + 32 + l] % 16);
    }
  }
}

function putSixBitPairs(block: Uint8Array, at: number, scales: readonly number[], mins: readonly number[]): void {
  for (let s = 0; s < 4; s++) {
    block[at + s] = scales[s] + 64 * Math.floor(scales[s + 4] / 16);
    block[at + 4 + s] = mins[s] + 64 * Math.floor(mins[s + 4] / 16);
    block[at + 8 + s] = (scales[s + 4] % 16) + 16 * (mins[s + 4] % 16);
  }
}

const PACKERS: Record<QuantType, (block: Uint8Array, fields: Fields) => void> = {
  Q4_0(block, { d, codes }) {
    putHalf(block, 0, d);
    putNibbles32(block, 2, codes);
  },
  Q4_1(block, { d, dmin, codes }) {
    putHalf(block, 0, d);
    putHalf(block, 2, negated(dmin));
    putNibbles32(block, 4, codes);
  },
  Q5_0(block, { d, codes }) {
    putHalf(block, 0, d);
    putFifthBits32(block, 2, codes);
    putNibbles32(block, 6, codes);
  },
  Q5_1(block, { d, dmin, codes }) {
    putHalf(block, 0, d);
    putHalf(block, 2, negated(dmin));
    putFifthBits32(block, 4, codes);
    putNibbles32(block, 8, codes);
  },
  Q8_0(block, { d, codes }) {
    putHalf(block, 0, d);
    new Int8Array(block.buffer).set(
      codes.map((code) => code - 128),
      2,
    );
  },
  Q2_K(block, { d, dmin, scales, mins, codes }) {
    for (let s = 0; s < 16; s++) block[s] = scales[s] + 16 * mins[s];
    putCrumbs(block, 16, codes);
    putHalf(block, 80, d);
    putHalf(block, 82, dmin);
  },
  Q3_K(block, { d, scales, codes }) {
    codes.forEach((code, i) => {
      if (code & 4) block[i % 32] += 2 ** Math.floor(i / 32);
    });
    putCrumbs(block, 32, codes);
    for (let s = 0; s < 16; s++) {
      const biased = scales[s] + 32;
      block[96 + (s % 8)] += (biased % 16) * (s < 8 ? 1 : 16);
      block[104 + (s % 4)] += Math.floor(biased / 16) * 4 ** Math.floor(s / 4);
    }
    putHalf(block, 108, d);
  },
  Q4_K(block, { d, dmin, scales, mins, codes }) {
    putHalf(block, 0, d);
    putHalf(block, 2, dmin);
    putSixBitPairs(block, 4, scales, mins);
    putNibbles256(block, 16, codes);
  },
  Q5_K(block, { d, dmin, scales, mins, codes }) {
    putHalf(block, 0, d);
    putHalf(block, 2, dmin);
    putSixBitPairs(block, 4, scales, mins);
    codes.forEach((code, i) => {
      if (code & 16) block[16 + (i % 32)] += 2 ** Math.floor(i / 32);
    });
    putNibbles256(block, 48, codes);
  },
  Q6_K(block, { d, scales, codes }) {
    codes.forEach((code, i) => {
      const [halfIndex, plane, l] = [Math.floor(i / 128), Math.floor(i / 32) % 4, i % 32];
      block[64 * halfIndex + 32 * (plane % 2) + l] += (code % 16) * (plane < 2 ? 1 : 16);
      block[128 + 32 * halfIndex + l] += Math.floor(code / 16) * 4 ** plane;
    });
    new Int8Array(block.buffer).set(scales, 192);
    putHalf(block, 208, d);
  },
};
