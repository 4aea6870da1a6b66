// Lists of several ops, replayed with several steps: an op must see all that the one before has written.
import type { Op } from '../../../src/backend/ops.js';
import { floats, halves, type KernelCase, type Pass, poisoned, type Setup } from '../case.js';
import { Random } from '../random.js';
import { randomWeight, vectorWeight } from '../weights.js';
import { type HeadShape, prompt, randomCache, rotations, rowsOnly, SLOTS } from './heads.js';

const CONTEXT = 320;

/** Rotation and cache writes, then attention: a row attends to itself and to the rows of its batch before it. */
function attend(name: string, shape: HeadShape, passes: readonly Pass[]): Setup {
  const random = new Random(name);
  const { heads, kvHeads, headDim } = shape;
  const maxRows = Math.max(...passes.map((pass) => pass.rows.length));
  const sizes = { maxRows, maxOutputs: 1, slots: SLOTS, context: CONTEXT };
  const caches = { kCache: 'k cache', vCache: 'v cache' };
  const ops: Op[] = [
    {
      kind: 'rope-kv-write',
      ...{ q: 'q', k: 'k', v: 'v', ...caches, table: 'table', qNorm: null, kNorm: 'k norm' },
      ...{ heads, kvHeads, headDim, ropeDim: headDim, neox: true, eps: 1e-5 },
    },
    {
      kind: 'attention',
      ...{ q: 'q', ...caches, out: 'out', heads, kvHeads, headDim, scale: 1 / Math.sqrt(headDim), window: 0 },
    },
  ];
  const values = (count: number) => floats(random.normals(maxRows * count * headDim));
  const cache = () => halves(randomCache(random, shape, CONTEXT, () => false));
  return {
    ops,
    sizes,
    weights: { 'k norm': vectorWeight(random.normals(headDim)) },
    buffers: {
      ...{ q: values(heads), k: values(kvHeads), v: values(kvHeads) },
      ...{ 'k cache': cache(), 'v cache': cache() },
      table: floats(rotations(headDim, CONTEXT)),
      out: poisoned(maxRows * heads * headDim),
    },
    passes,
  };
}

/** A norm, a product and a selection of rows, each reading what the one before wrote. */
function project(name: string, passes: readonly Pass[]): Setup {
  const random = new Random(name);
  const sizes = { maxRows: 12, maxOutputs: 4, slots: SLOTS, context: CONTEXT };
  const width = 96;
  const out = 70;
  const part = (weight: string, to: string) => [{ weight, bias: null, out: to }];
  return {
    ops: [
      { kind: 'embed', table: 'table', out: 'x' },
      { kind: 'rms-norm', input: 'x', weight: 'norm', out: 'normed', width, eps: 1e-5, selectOutputs: false },
      { kind: 'matmul', input: 'normed', parts: part('square', 'x'), accumulate: true, outputs: false },
      { kind: 'rms-norm', input: 'x', weight: 'norm', out: 'selected', width, eps: 1e-5, selectOutputs: true },
      { kind: 'matmul', input: 'selected', parts: part('head', 'logits'), accumulate: false, outputs: true },
    ],
    sizes,
    weights: {
      table: randomWeight(random, 'F32', 50, width),
      norm: vectorWeight(random.normals(width)),
      square: randomWeight(random, 'F32', width, width),
      head: randomWeight(random, 'F32', out, width),
    },
    buffers: {
      ...{ x: poisoned(12 * width), normed: poisoned(12 * width) },
      ...{ selected: poisoned(4 * width), logits: poisoned(4 * out) },
    },
    passes,
  };
}

const heads: HeadShape = { heads: 6, kvHeads: 2, headDim: 64 };
const tokens = (pass: Pass, rows: readonly number[]): Pass => ({
  rows: pass.rows.map((row, r) => ({ ...row, token: (7 * r + 3) % 50 })),
  outputs: rows.map((row) => ({ row, target: null })),
});

const setups: Readonly<Record<string, (name: string) => Setup>> = {
  'prompt of 70, rotated, then attended to': (name) => attend(name, heads, [rowsOnly(prompt(1, 0, 70))]),
  'prompt, then mixed batches, attended to': (name) =>
    attend(name, heads, [
      rowsOnly(prompt(0, 0, 40), prompt(2, 0, 3)),
      rowsOnly(prompt(0, 40, 1), prompt(1, 0, 20), prompt(2, 3, 1)),
      rowsOnly(prompt(2, 4, 1), prompt(0, 41, 2), prompt(1, 20, 1)),
    ]),
  'embed to logits, three passes': (name) =>
    project(name, [
      tokens(rowsOnly(prompt(0, 0, 12)), [11, 0]),
      tokens(rowsOnly(prompt(0, 12, 1), prompt(1, 0, 4)), [4, 3, 0]),
      tokens(rowsOnly(prompt(2, 0, 2)), []),
    ]),
};

export const sequenceCases: readonly KernelCase[] = Object.entries(setups).map(([what, build]) => {
  const name = `sequence: ${what}`;
  return { name, kind: 'sequence', types: [], build: () => build(name) };
});
