// What the cases of rope-kv-write and attention share: head shapes, batches, caches, the rotation table.
import { numberToF16 } from '../../../src/backend/reference/f16.js';
import type { Pass, Row } from '../case.js';
import type { Random } from '../random.js';

export interface HeadShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

export const SLOTS = 3;

/** Rows of one slot at the positions first, first + 1, ... */
export function prompt(slot: number, first: number, count: number): Row[] {
  return Array.from({ length: count }, (_, i) => ({ token: 0, slot, position: first + i }));
}

export function rowsOnly(...groups: readonly (readonly Row[])[]): Pass {
  return { rows: groups.flat(), outputs: [] };
}

/** The batches: decodes at positions around the borders of 32, 64, 256 and 512, prompts, and mixtures. */
export const BATCHES: Readonly<Record<string, Pass>> = {
  'position 0': rowsOnly(prompt(1, 0, 1)),
  'position 1000': rowsOnly(prompt(2, 1000, 1)),
  'decodes at 1, 31, 32': rowsOnly(prompt(2, 1, 1), prompt(0, 31, 1), prompt(1, 32, 1)),
  'decodes at 33, 63, 64': rowsOnly(prompt(0, 33, 1), prompt(1, 63, 1), prompt(2, 64, 1)),
  'decodes at 255, 256, 257': rowsOnly(prompt(1, 255, 1), prompt(2, 256, 1), prompt(0, 257, 1)),
  'decodes at 511, 512, 1023': rowsOnly(prompt(0, 511, 1), prompt(1, 512, 1), prompt(2, 1023, 1)),
  'prompt of 33': rowsOnly(prompt(0, 0, 33)),
  'prompt across 256': rowsOnly(prompt(1, 250, 16)),
  // Rows of one slot need not be neighbours, and slots come in any order.
  'prompts and decodes mixed': rowsOnly(prompt(2, 700, 1), prompt(0, 0, 4), prompt(1, 30, 5), prompt(0, 4, 1)),
};

/** Positions of each slot for a batch: few, and rarely a power of two. */
export function contextOf(pass: Pass): number {
  const last = Math.max(...pass.rows.map((row) => row.position));
  return last + 1 + (last % 3);
}

/**
 * Codes of a cache in which `used(slot, position)` says what earlier passes have written. The rest holds large numbers,
 * as what an earlier sequence left might be: reading them shows.
 */
export function randomCache(
  random: Random,
  { kvHeads, headDim }: HeadShape,
  context: number,
  used: (slot: number, position: number) => boolean,
): Uint16Array<ArrayBuffer> {
  // Drawing from a pool is a tenth of the time of making every number.
  const usual = Array.from(random.normals(4096), numberToF16);
  const large = Array.from(usual, () => numberToF16(20000 + 40000 * random.uniform()));
  const codes = new Uint16Array(SLOTS * kvHeads * context * headDim);
  for (let cell = 0; cell < codes.length; cell += headDim) {
    const position = (cell / headDim) % context;
    const slot = Math.floor(cell / headDim / context / kvHeads);
    const pool = used(slot, position) ? usual : large;
    for (let i = 0; i < headDim; i++) codes[cell + i] = random.pick(pool);
  }
  return codes;
}

/** f32 [context][dim / 2][cos, sin] with theta 10000. */
export function rotations(dim: number, context: number, magnitude = 1): Float32Array<ArrayBuffer> {
  const table = new Float32Array(context * dim);
  for (let position = 0; position < context; position++) {
    for (let i = 0; i < dim; i += 2) {
      const angle = position * 10000 ** (-i / dim);
      table[position * dim + i] = magnitude * Math.cos(angle);
      table[position * dim + i + 1] = magnitude * Math.sin(angle);
    }
  }
  return table;
}
