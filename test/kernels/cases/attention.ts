import { floats, halves, type KernelCase, type Pass, poisoned, type Setup } from '../case.js';
import { Random } from '../random.js';
import { BATCHES, contextOf, type HeadShape, prompt, randomCache, rowsOnly, SLOTS } from './heads.js';

interface Shape extends HeadShape {
  readonly batch: string;
  readonly window: number;
  /** Deviation of the queries: large ones make one position outweigh all others. */
  readonly sharpness?: number;
}

/** Longer than what kernels take at once, on top of the shared ones. */
const LONG: Readonly<Record<string, Pass>> = {
  'prompt of 70 after 200': rowsOnly(prompt(1, 200, 70), prompt(0, 3, 1)),
};

function attentionSetup(name: string, shape: Shape): Setup {
  const random = new Random(name);
  const { heads, kvHeads, headDim, window, sharpness = 1 } = shape;
  const pass = BATCHES[shape.batch] ?? LONG[shape.batch];
  const context = contextOf(pass);
  const sizes = { maxRows: pass.rows.length + 1, maxOutputs: 1, slots: SLOTS, context };
  const last = [0, 0, 0];
  for (const { slot, position } of pass.rows) last[slot] = Math.max(last[slot], position);
  const cache = () => halves(randomCache(random, shape, context, (slot, position) => position <= last[slot]));
  const values = sizes.maxRows * heads * headDim;
  return {
    ops: [
      {
        kind: 'attention',
        ...{ q: 'q', kCache: 'k cache', vCache: 'v cache', out: 'out', heads, kvHeads, headDim },
        ...{ scale: 1 / Math.sqrt(headDim), window },
      },
    ],
    sizes,
    weights: {},
    buffers: {
      q: floats(random.normals(values, sharpness)),
      'k cache': cache(),
      'v cache': cache(),
      out: poisoned(values),
    },
    passes: [pass],
  };
}

const plain = { heads: 4, kvHeads: 2, headDim: 64, window: 0 } as const;

const shapes: Shape[] = [
  ...Object.keys(BATCHES).map((batch) => ({ ...plain, batch })),
  ...[32, 80, 96, 128].flatMap((headDim) => [
    { ...plain, headDim, batch: 'prompts and decodes mixed' },
    { ...plain, headDim, batch: 'decodes at 255, 256, 257' },
    { ...plain, headDim, heads: 8, kvHeads: 1, batch: 'prompt across 256' },
  ]),
  { ...plain, heads: 1, kvHeads: 1, batch: 'position 1000' },
  { ...plain, heads: 3, kvHeads: 3, batch: 'prompt of 33' },
  { ...plain, heads: 14, kvHeads: 2, batch: 'position 1000' },
  { ...plain, heads: 14, kvHeads: 2, batch: 'prompt across 256' },
  ...[1, 7, 32, 100, 256, 5000].flatMap((window) => [
    { ...plain, window, batch: 'prompt of 70 after 200' },
    { ...plain, window, batch: 'decodes at 511, 512, 1023' },
  ]),
  { ...plain, window: 16, batch: 'prompts and decodes mixed' },
  { ...plain, sharpness: 30, batch: 'decodes at 255, 256, 257' },
  { ...plain, sharpness: 30, batch: 'prompt across 256' },
];

export const attentionCases: readonly KernelCase[] = shapes.map((shape) => {
  const { heads, kvHeads, headDim, window, sharpness = 1 } = shape;
  const sharp = sharpness === 1 ? '' : `, queries times ${sharpness}`;
  const name = `attention ${heads}/${kvHeads} heads of ${headDim}, window ${window}, ${shape.batch}${sharp}`;
  return { name, kind: 'attention', types: [], build: () => attentionSetup(name, shape) };
});
