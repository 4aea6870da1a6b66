// Weight matrices for the cases, with the numbers that their bytes stand for.
import { type GgmlType, TYPES, typeBytes } from '../../src/gguf/types.js';
import { type Fields, half, magnitudesOf, packBlock, QUANTS, type QuantType, valuesOf } from './blocks.js';
import type { Random } from './random.js';

export interface TestWeight {
  readonly type: GgmlType;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: Uint8Array;
  /** [rows][cols], exact. */
  readonly values: Float64Array;
  /** [rows][cols]: see blocks.ts. */
  readonly magnitudes: Float64Array;
}

/** `usual`: like a model's. `extreme`: rows of one kind each out of EXTREMES, in turn. */
export type Flavour = 'usual' | 'extreme';

const EXTREMES = ['zero', 'negative', 'huge', 'denormal', 'highest codes', 'lowest codes', 'only mins'] as const;
type Kind = 'usual' | (typeof EXTREMES)[number];

export function isQuant(type: GgmlType): type is QuantType {
  return TYPES[type].blockWeights > 1;
}

export function randomWeight(
  random: Random,
  type: GgmlType,
  rows: number,
  cols: number,
  flavour: Flavour = 'usual',
): TestWeight {
  const bytes = new Uint8Array(rows * typeBytes(type, cols));
  const values = new Float64Array(rows * cols);
  const magnitudes = new Float64Array(rows * cols);
  const { blockWeights, blockBytes } = TYPES[type];
  for (let block = 0; block < (rows * cols) / blockWeights; block++) {
    const row = Math.floor((block * blockWeights) / cols);
    const kind = flavour === 'usual' ? 'usual' : EXTREMES[row % EXTREMES.length];
    if (isQuant(type)) {
      const fields = randomFields(random, type, kind);
      bytes.set(packBlock(type, fields), block * blockBytes);
      values.set(valuesOf(type, fields), block * blockWeights);
      magnitudes.set(magnitudesOf(type, fields), block * blockWeights);
    } else {
      values[block] = putFloat(random, type, kind, bytes.subarray(block * blockBytes));
      magnitudes[block] = Math.abs(values[block]);
    }
  }
  return { type, rows, cols, bytes, values, magnitudes };
}

/** A norm or a bias. */
export function vectorWeight(values: Float32Array<ArrayBuffer>): TestWeight {
  const exact = Float64Array.from(values);
  return {
    type: 'F32',
    rows: 1,
    cols: values.length,
    bytes: new Uint8Array(values.buffer),
    values: exact,
    magnitudes: exact.map(Math.abs),
  };
}

function randomFields(random: Random, type: QuantType, kind: Kind): Fields {
  const { weights, codes, sub, scales, mins } = QUANTS[type];
  const each = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);
  const code = () => {
    if (kind === 'highest codes') return codes - 1;
    if (kind === 'lowest codes') return 0;
    return random.integer(0, codes - 1);
  };
  const scale = () => {
    if (kind === 'only mins') return Math.max(0, scales[0]);
    // Both ends: sums of products of the largest integers are where accumulators overflow.
    if (kind === 'highest codes' || kind === 'lowest codes') return random.pick([scales[0], scales[1], scales[1]]);
    return random.integer(scales[0], scales[1]);
  };
  const min = () => (mins === null ? 0 : kind === 'highest codes' ? mins[1] : random.integer(mins[0], mins[1]));
  return {
    d: randomScale(random, kind, codes * scales[1]),
    dmin: mins === null ? half(0, 0, 0) : randomScale(random, kind, 2 * mins[1]),
    codes: each(weights, code),
    scales: each(weights / sub, scale),
    mins: each(weights / sub, min),
  };
}

/** A scale that makes usual weights some tenths, whatever integers it is multiplied with (`largest`). */
function randomScale(random: Random, kind: Kind, largest: number) {
  const sign = kind === 'negative' ? 1 : random.pick([0, 0, 0, 1] as const);
  const fraction = random.integer(0, 1023);
  if (kind === 'zero') return half(0, 0, 0);
  if (kind === 'huge') return half(sign, 30, fraction);
  if (kind === 'denormal') return half(sign, 0, random.integer(1, 1023));
  return half(sign, Math.round(15 - Math.log2(largest)) + random.integer(-1, 1), fraction);
}

function putFloat(random: Random, type: GgmlType, kind: Kind, bytes: Uint8Array): number {
  const sign = kind === 'negative' ? 1 : random.pick([0, 1] as const);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (type === 'F16') {
    const exponents = { zero: [0, 0], huge: [28, 30], denormal: [0, 0] } as Partial<Record<Kind, number[]>>;
    const [low, high] = exponents[kind] ?? [10, 14];
    const { code, value } = half(sign, random.integer(low, high), kind === 'zero' ? 0 : random.integer(1, 1023));
    view.setUint16(0, code, true);
    return value;
  }
  const scales: Partial<Record<Kind, number>> = { zero: 0, huge: 1e9, denormal: 1e-20 };
  const value = (sign ? -1 : 1) * (scales[kind] ?? 1) * (0.01 + random.uniform());
  const rounded = new Uint32Array(Float32Array.of(value).buffer);
  if (type === 'F32') {
    view.setUint32(0, rounded[0], true);
  } else {
    rounded[0] &= 0xffff0000;
    view.setUint16(0, rounded[0] >>> 16, true);
  }
  return new Float32Array(rounded.buffer)[0];
}
