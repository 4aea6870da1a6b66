import { numberToF16 } from '../backend/reference/f16.js';
import { type GgmlType, TYPES } from '../gguf/types.js';
import type { Random } from './random.js';

// Moments of a whole number that is uniform in [0, n).
const mean = (n: number) => (n - 1) / 2;
const variance = (n: number) => (n * n - 1) / 12;
const square = (n: number) => variance(n) + mean(n) ** 2;
/** Mean square of one that is centred by subtracting n / 2, as signed codes are. */
const centred = (n: number) => variance(n) + 0.25;

/**
 * How weights of a block decode from uniformly random codes (ggml-common.h): all bytes random, but for the half floats
 * named here.
 */
interface BlockStatistics {
  /** Byte of the block at which its scale lies. */
  readonly scaleAt: number;
  /** Mean square of a decoded weight at scale 1. */
  readonly square: number;
  /** A second half float, the offset or the scale of the minima, as a multiple of the scale: it makes the mean zero. */
  readonly offset?: { readonly at: number; readonly perScale: number };
}

/** For w = scale * s * q - min * m, with s and m 6-bit (or `n`-ary) codes and min chosen for a mean of zero. */
function withMinima(n: number, codes: number): Pick<BlockStatistics, 'square'> {
  return { square: square(n) * square(codes) - (mean(n) * mean(codes)) ** 2 + mean(codes) ** 2 * variance(n) };
}

const STATISTICS: Readonly<Record<Exclude<GgmlType, 'F32' | 'F16' | 'BF16'>, BlockStatistics>> = {
  Q4_0: { scaleAt: 0, square: centred(16) },
  Q4_1: { scaleAt: 0, square: variance(16), offset: { at: 2, perScale: -mean(16) } },
  Q5_0: { scaleAt: 0, square: centred(32) },
  Q5_1: { scaleAt: 0, square: variance(32), offset: { at: 2, perScale: -mean(32) } },
  Q8_0: { scaleAt: 0, square: variance(255) },
  Q2_K: { scaleAt: 80, ...withMinima(16, 4), offset: { at: 82, perScale: mean(4) } },
  Q3_K: { scaleAt: 108, square: centred(64) * centred(8) },
  Q4_K: { scaleAt: 0, ...withMinima(64, 16), offset: { at: 2, perScale: mean(16) } },
  Q5_K: { scaleAt: 0, ...withMinima(64, 32), offset: { at: 2, perScale: mean(32) } },
  Q6_K: { scaleAt: 208, square: centred(256) * centred(64) },
};

/** Scales vary by this factor's range around the wanted one; the mean square of it is 13/12. */
const scaleFactor = (random: Random) => (0.5 + random.unit()) / Math.sqrt(13 / 12);

/**
 * Random blocks of a type whose decoded weights have mean 0 (about) and standard deviation `deviation`; uniform for floats.
 * @returns count * TYPES[type].blockBytes bytes
 */
export function randomBlocks(type: GgmlType, count: number, deviation: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(count * TYPES[type].blockBytes);
  if (type === 'F32' || type === 'F16' || type === 'BF16') {
    fillFloats(type, bytes, () => (2 * random.unit() - 1) * Math.sqrt(3) * deviation);
    return bytes;
  }
  random.fill(bytes);
  const { scaleAt, square: squareAtOne, offset } = STATISTICS[type];
  const view = new DataView(bytes.buffer);
  const wanted = deviation / Math.sqrt(squareAtOne);
  for (let block = 0; block < bytes.length; block += TYPES[type].blockBytes) {
    const scale = wanted * scaleFactor(random);
    view.setUint16(block + scaleAt, numberToF16(scale), true);
    if (offset) view.setUint16(block + offset.at, numberToF16(scale * offset.perScale), true);
  }
  // The code -128 is decodable, but quantizers never write it, and fast int8 kernels may rely on that.
  if (type === 'Q8_0') for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0x80 && i % 34 > 1) bytes[i] = 0x81;
  return bytes;
}

/** Writes values of a float type, little-endian. */
export function fillFloats(type: 'F32' | 'F16' | 'BF16', bytes: Uint8Array, next: (index: number) => number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = bytes.length / TYPES[type].blockBytes;
  for (let i = 0; i < count; i++) {
    if (type === 'F16') view.setUint16(i * 2, numberToF16(next(i)), true);
    else if (type === 'F32') view.setFloat32(i * 4, next(i), true);
    else view.setUint16(i * 2, upperHalf(next(i)), true);
  }
}

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** bfloat16 is the upper half of an f32; random values need no rounding. */
function upperHalf(value: number): number {
  float[0] = value;
  return floatBits[0] >>> 16;
}
