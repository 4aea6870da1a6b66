import { outputBytes } from '../../../src/backend/outputs.js';
import { floats, type KernelCase, plainPass, poisoned, type Setup } from '../case.js';
import { Random } from '../random.js';

interface Shape {
  readonly width: number;
  readonly k: number;
  readonly outputs: number;
  readonly logits: keyof typeof LOGITS;
}

/** Logit of `token` out of `width`. */
const LOGITS = {
  usual: (random: Random) => random.normal() * 4,
  // Seven values: nearly all are ties, also at the last place.
  ties: (random: Random) => random.integer(-3, 3),
  equal: () => 0.5,
  ascending: (_: Random, token: number) => token / 16,
  descending: (_: Random, token: number) => -token / 16,
  // exp() of these overflows or vanishes.
  large: (random: Random) => 9000 + random.normal() * 3,
  negative: (random: Random) => -9000 + random.normal() * 3,
  // A few far above the others: what finds a threshold by histogram has it in one bin.
  peaked: (random: Random, token: number) => (token % 1000 === 77 ? 50 + token / 1e5 : random.normal() * 1e-3),
  // Differences from nothing to nearly all that f32 can tell: what cuts a range in equal parts needs many rounds.
  magnitudes: (random: Random) => random.normal() * 10 ** random.integer(-30, 30),
  // Tokens that may not come, and so many of them that they are among the best.
  masked: (random: Random, token: number) => (token % 3 === 1 ? -3e38 : random.normal() * 4),
  'nearly all masked': (random: Random, token: number) => (token % 40 === 7 ? random.normal() * 4 : -3e38),
  // The same by -Infinity, as logit biases make it.
  forbidden: (random: Random, token: number) => (token % 3 === 1 ? Number.NEGATIVE_INFINITY : random.normal() * 4),
  'nearly all forbidden': (random: Random, token: number) =>
    token % 40 === 7 ? random.normal() * 4 : Number.NEGATIVE_INFINITY,
  // Tokens of common words have low numbers: the best are neighbours.
  'side by side': (random: Random, token: number) => random.normal() * 4 - token / 16,
};

function topKSetup(name: string, { width, k, outputs, logits }: Shape): Setup {
  const random = new Random(name);
  const sizes = { maxRows: outputs + 2, maxOutputs: outputs + 1, slots: 1, context: 1024 };
  const values = Float32Array.from({ length: sizes.maxOutputs * width }, (_, i) => LOGITS[logits](random, i % width));
  // Without a target, the first token, the last one, others.
  const targets = [null, 0, width - 1, random.integer(0, width - 1)];
  return {
    ops: [{ kind: 'top-k', input: 'logits', out: 'out', width, k }],
    sizes,
    weights: {},
    buffers: { logits: floats(values), out: poisoned((sizes.maxOutputs * outputBytes(k)) / 4) },
    passes: [
      {
        rows: plainPass(sizes.maxRows).rows,
        outputs: Array.from({ length: outputs }, (_, o) => ({ row: sizes.maxRows - 1 - o, target: targets[o % 4] })),
      },
    ],
  };
}

const shapes: Shape[] = [
  ...[1, 5, 8, 255, 256, 257, 1000, 8192].map((width) => ({ width, k: 256, outputs: 2, logits: 'usual' as const })),
  ...(Object.keys(LOGITS) as (keyof typeof LOGITS)[]).map((logits) => ({ width: 3001, k: 256, outputs: 3, logits })),
  { width: 3001, k: 1, outputs: 5, logits: 'ties' },
  { width: 3001, k: 40, outputs: 5, logits: 'ties' },
  { width: 40, k: 40, outputs: 1, logits: 'ties' },
  // A last chunk, and a last group, of few logits.
  { width: 4099, k: 256, outputs: 3, logits: 'ties' },
  { width: 16387, k: 500, outputs: 2, logits: 'usual' },
  { width: 128256, k: 256, outputs: 1, logits: 'usual' },
  { width: 128256, k: 256, outputs: 1, logits: 'ties' },
  { width: 128256, k: 256, outputs: 1, logits: 'magnitudes' },
  { width: 128256, k: 40, outputs: 2, logits: 'peaked' },
  { width: 3001, k: 256, outputs: 0, logits: 'usual' },
];

export const topKCases: readonly KernelCase[] = shapes.map((shape) => {
  const name = `top-k ${shape.k} of ${shape.width}, ${shape.logits} logits, ${shape.outputs} outputs`;
  return { name, kind: 'top-k', types: [], build: () => topKSetup(name, shape) };
});
