// Decoding against hand-written bytes, against blocks packed from known scales and codes, and against another decoder.
import { describe, expect, it } from 'vitest';
import { decodeRow } from '../../src/backend/reference/dequantize/dequantize.js';
import { f16ToNumber, numberToF16 } from '../../src/backend/reference/f16.js';
import { GGML_TYPES, type GgmlType, TYPES } from '../../src/gguf/types.js';
import { type Fields, half, packBlock, QUANTS, type QuantType } from './blocks.js';
import { GOLDEN_BLOCKS } from './golden-blocks.js';
import { Random } from './random.js';
import { isQuant, randomWeight } from './weights.js';

function decode(type: GgmlType, bytes: Uint8Array, row = 0, rows = 1): Float64Array {
  const cols = ((bytes.length / TYPES[type].blockBytes) * TYPES[type].blockWeights) / rows;
  const out = new Float64Array(cols);
  decodeRow({ type, rows, cols, bytes }, row, out);
  return out;
}

describe('half precision', () => {
  it.each([
    [0x0000, 0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3c00, 1],
    [0x3555, 0.333251953125],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
    [0x7e00, Number.NaN],
    [0x8000, -0],
  ])('code %i is %d', (code, value) => {
    expect(f16ToNumber(code)).toBe(value);
    expect(numberToF16(value)).toBe(code);
  });

  it('converts every finite code back, and rounds to the even neighbour between two', () => {
    for (let code = 0; code < 0x7bff; code++) {
      const [low, high] = [f16ToNumber(code), f16ToNumber(code + 1)];
      const middle = (low + high) / 2;
      const even = code % 2 === 0 ? code : code + 1;
      const codes = [low, middle, middle - (high - low) / 1024, middle + (high - low) / 1024].map(numberToF16);
      if (codes.join() !== [code, even, code, code + 1].join()) throw new Error(`code ${code}: ${codes}`);
      if (numberToF16(-middle) !== (even | 0x8000)) throw new Error(`code ${code}: sign`);
    }
  });

  it('rounds what is too large to infinity', () => {
    expect([65519, 65520, 1e30, -65520].map(numberToF16)).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfc00]);
  });
});

describe('floats', () => {
  it('F32 at any alignment', () => {
    const bytes = new Uint8Array([9, 0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc1]).subarray(1);
    expect([...decode('F32', bytes)]).toEqual([1, -10]);
  });
  it('F16', () => expect([...decode('F16', new Uint8Array([0, 0x3c, 0, 0xc0, 1, 0]))]).toEqual([1, -2, 2 ** -24]));
  it('BF16', () =>
    expect([...decode('BF16', new Uint8Array([0x80, 0x3f, 0x40, 0xc0, 1, 0]))]).toEqual([1, -3, 2 ** -133]));
});

/** Hand-written blocks: d = 0.5 (0x3800), dmin or m = 2 (0x4000), and codes of which only a few are not zero. */
const BY_HAND: Record<QuantType, { set: Record<number, number>; rest: number; weights: Record<number, number> }> = {
  // qs[0] = 0x3f: weight 0 has code 15, weight 16 code 3.
  Q4_0: { set: { 1: 0x38, 2: 0x3f }, rest: -4, weights: { 0: 3.5, 16: -2.5 } },
  Q4_1: { set: { 1: 0x38, 3: 0x40, 4: 0x3f }, rest: 2, weights: { 0: 9.5, 16: 3.5 } },
  // qh bits 0 and 31.
  Q5_0: { set: { 1: 0x38, 2: 1, 5: 0x80, 6: 0x3f }, rest: -8, weights: { 0: 7.5, 16: -6.5, 31: 0 } },
  Q5_1: { set: { 1: 0x38, 3: 0x40, 4: 1, 7: 0x80, 8: 0x3f }, rest: 2, weights: { 0: 17.5, 16: 3.5, 31: 10 } },
  Q8_0: { set: { 1: 0x38, 2: 0x80, 33: 0x7f }, rest: 0, weights: { 0: -64, 31: 63.5 } },
  // Sub-block 2: scale 3, min 1. qs[0] = 0b00_01_10_11: codes 3, 2, 1, 0 of weights 0, 32, 64, 96; of them only 32 has a scale.
  Q2_K: { set: { 2: 0x13, 16: 0x1b, 81: 0x38, 83: 0x40 }, rest: 0, weights: { 32: 1, ...fill(33, 47, -2) } },
  // All scales 1 (33 - 32): low nibbles 1, high bits 0b10. Weight 0: bits 11 and the third bit: 7 - 4; others 0 - 4.
  Q3_K: {
    set: { 0: 1, 32: 3, ...fill(96, 103, 0x11), ...fill(104, 107, 0xaa), 109: 0x38 },
    rest: -2,
    weights: { 0: 1.5 },
  },
  // Scale 0: 5, min 0: 7; scale 5: 0b110001 = 49 (nibble 1 of byte 9, top bits 11 of byte 1). qs[0] = 0x2f.
  Q4_K: {
    set: { 1: 0x38, 3: 0x40, 4: 5, 8: 7, 5: 0xc0, 13: 0x01, 16: 0x2f, 80: 0x30 },
    rest: 0,
    weights: { ...fill(1, 31, -14), 0: 23.5, 160: 73.5 },
  },
  // As Q4_K, with fifth bits of weights 0 and 160.
  Q5_K: {
    set: { 1: 0x38, 3: 0x40, 4: 5, 8: 7, 5: 0xc0, 13: 0x01, 16: 0x21, 48: 0x2f, 112: 0x30 },
    rest: 0,
    weights: { ...fill(1, 31, -14), 0: 63.5, 160: 465.5 },
  },
  // Scales: -2 for weights 0..15, 1 for 64..79. ql[0] = 0x41: low bits of weights 0 (1) and 64 (4); qh[0] = 0b00_10_00_11.
  Q6_K: {
    set: { 0: 0x41, 128: 0x23, 192: 0xfe, 196: 1, 209: 0x38 },
    rest: 0,
    weights: { ...fill(1, 15, 32), 0: -17, ...fill(65, 79, -16), 64: 2 },
  },
};

function fill(from: number, to: number, value: number): Record<number, number> {
  return Object.fromEntries(Array.from({ length: to - from + 1 }, (_, i) => [from + i, value]));
}

describe.each(GGML_TYPES.filter(isQuant))('%s', (type) => {
  it('decodes a block made by hand', () => {
    const { set, rest, weights } = BY_HAND[type];
    const block = new Uint8Array(TYPES[type].blockBytes);
    for (const [at, byte] of Object.entries(set)) block[Number(at)] = byte;
    const expected = Array.from({ length: TYPES[type].blockWeights }, (_, i) => weights[i] ?? rest);
    // Adding 0 makes 0 of -0.
    expect(Array.from(decode(type, block), (value) => value + 0)).toEqual(expected);
  });

  it('decodes what another decoder does', () => {
    const { block, at, sum } = GOLDEN_BLOCKS[type];
    const weights = decode(type, Uint8Array.from(Buffer.from(block, 'hex')));
    for (const [i, weight] of Object.entries(at)) expect(weights[Number(i)], `weight ${i}`).toBeCloseTo(weight, 6);
    expect(weights.reduce((a, b) => a + b)).toBeCloseTo(sum, 3);
  });

  it.each(['usual', 'extreme'] as const)('decodes %s blocks packed from scales and codes', (flavour) => {
    const rows = 14;
    const { cols, bytes, values } = randomWeight(new Random(type), type, rows, 2 * TYPES[type].blockWeights, flavour);
    for (let row = 0; row < rows; row++) {
      const difference = decode(type, bytes, row, rows).map((value, i) => value - values[row * cols + i]);
      expect(Math.max(...difference.map(Math.abs)), `row ${row}`).toBe(0);
    }
  });

  it('takes every code to its own weight', () => {
    const { codes, zero, sub, weights } = QUANTS[type];
    const unit = half(0, 15, 0);
    const fields: Fields = {
      d: unit,
      dmin: half(0, 0, 0),
      scales: new Array(weights / sub).fill(1),
      mins: new Array(weights / sub).fill(0),
      codes: Array.from({ length: weights }, (_, i) => (i * 7 + 3) % codes),
    };
    expect([...decode(type, packBlock(type, fields))]).toEqual(fields.codes.map((code) => code - zero));
  });
});
