import { floats, halves, type KernelCase, type Pass, type Setup } from '../case.js';
import { Random } from '../random.js';
import { vectorWeight } from '../weights.js';
import { BATCHES, contextOf, type HeadShape, randomCache, rotations, SLOTS } from './heads.js';

interface Shape extends HeadShape {
  readonly ropeDim: number;
  readonly neox: boolean;
  readonly norms: 'none' | 'q' | 'q and k';
  readonly batch: string;
  /** Of the rotation table (YaRN scales it). */
  readonly magnitude?: number;
}

function ropeSetup(name: string, shape: Shape): Setup {
  const random = new Random(name);
  const { heads, kvHeads, headDim, ropeDim, neox, norms } = shape;
  const pass: Pass = BATCHES[shape.batch];
  const context = contextOf(pass);
  const sizes = { maxRows: pass.rows.length + 1, maxOutputs: 1, slots: SLOTS, context };
  const values = (count: number) => {
    const numbers = random.normals(sizes.maxRows * count * headDim);
    // Values that a half holds denormal, exactly between two halves, and near its upper end.
    numbers.set([3e-7, -1e-6, 1 + 2 ** -11, 1 + 3 * 2 ** -11, -40000, 2 ** -25, 3 * 2 ** -25], headDim - 8);
    return floats(numbers);
  };
  const cache = () => halves(randomCache(random, shape, context, () => true));
  const qNorm = norms === 'none' ? null : 'q norm';
  const kNorm = norms === 'q and k' ? 'k norm' : null;
  return {
    ops: [
      {
        kind: 'rope-kv-write',
        ...{ q: 'q', k: 'k', v: 'v', kCache: 'k cache', vCache: 'v cache', table: 'table', qNorm, kNorm },
        ...{ heads, kvHeads, headDim, ropeDim, neox, eps: 1e-6 },
      },
    ],
    sizes,
    weights: {
      ...(qNorm && { [qNorm]: vectorWeight(random.normals(headDim)) }),
      ...(kNorm && { [kNorm]: vectorWeight(random.normals(headDim)) }),
    },
    buffers: {
      q: values(heads),
      k: values(kvHeads),
      v: values(kvHeads),
      'k cache': cache(),
      'v cache': cache(),
      table: floats(rotations(ropeDim, context, shape.magnitude)),
    },
    passes: [pass],
  };
}

const plain = { ropeDim: 64, neox: false, norms: 'none', heads: 4, kvHeads: 2, headDim: 64 } as const;

const shapes: Shape[] = [
  ...Object.keys(BATCHES).map((batch) => ({ ...plain, batch })),
  ...[32, 80, 96, 128].flatMap((headDim) =>
    [false, true].flatMap((neox) => [
      { ...plain, headDim, ropeDim: headDim, neox, batch: 'prompts and decodes mixed' },
      { ...plain, headDim, ropeDim: headDim / 2, neox, norms: 'q and k' as const, batch: 'prompt across 256' },
    ]),
  ),
  { ...plain, neox: true, batch: 'prompts and decodes mixed' },
  { ...plain, ropeDim: 32, norms: 'q and k', batch: 'prompt across 256' },
  { ...plain, heads: 1, kvHeads: 1, batch: 'prompt of 33' },
  { ...plain, heads: 7, kvHeads: 1, neox: true, batch: 'decodes at 1, 31, 32' },
  { ...plain, heads: 4, kvHeads: 4, ropeDim: 20, neox: true, batch: 'decodes at 255, 256, 257' },
  { ...plain, ropeDim: 2, batch: 'decodes at 1, 31, 32' },
  { ...plain, norms: 'q', batch: 'prompt of 33' },
  { ...plain, norms: 'q and k', heads: 16, kvHeads: 8, headDim: 128, ropeDim: 128, neox: true, batch: 'position 1000' },
  { ...plain, magnitude: 1.2, batch: 'decodes at 255, 256, 257' },
];

export const ropeKvWriteCases: readonly KernelCase[] = shapes.map((shape) => {
  const { heads, kvHeads, headDim, ropeDim, neox, norms, magnitude = 1 } = shape;
  const rope = `${neox ? 'neox' : 'interleaved'} rope of ${ropeDim}${magnitude === 1 ? '' : ` times ${magnitude}`}`;
  const name = `rope-kv-write ${heads}/${kvHeads} heads of ${headDim}, ${rope}, norms ${norms}, ${shape.batch}`;
  return { name, kind: 'rope-kv-write', types: [], build: () => ropeSetup(name, shape) };
});
