// Cases in which the cuda backend makes a norm part of the product behind it, with several passes of one shape: the first is
// launched, the second captured, the third replayed.
import type { Backend } from '../../src/backend/backend.js';
import type { Op } from '../../src/backend/ops.js';
import type { GgmlType } from '../../src/gguf/types.js';
import { floats, type KernelCase, type Pass, poisoned, type Setup } from './case.js';
import { differences, expectedOf, runSetup } from './harness.js';
import { Random } from './random.js';
import { EIGHT_BIT } from './tolerance.js';
import { randomWeight, vectorWeight } from './weights.js';

const WIDTH = 512;
const HIDDEN = 768;
const NORMED = 'normed';

/** As in a layer: norm, three products; norm, gated product, and what it gives added to the input. */
function layer(name: string, type: GgmlType, rows: number, passes: number): Setup {
  const random = new Random(name);
  const norm = (weight: string): Op => ({
    kind: 'rms-norm',
    ...{ input: 'x', weight, out: NORMED, width: WIDTH, eps: 1e-5, selectOutputs: false },
  });
  const part = (weight: string, out: string) => ({ weight, bias: null, out });
  const ops: Op[] = [
    norm('first norm'),
    {
      kind: 'matmul',
      ...{ input: NORMED, parts: [part('q', 'a'), part('k', 'b'), part('v', 'c')], accumulate: false, outputs: false },
    },
    norm('second norm'),
    { kind: 'gated-matmul', input: NORMED, gate: 'gate', up: 'up', out: 'hidden', activation: 'silu' },
  ];
  const pass: Pass = {
    rows: Array.from({ length: rows }, (_, r) => ({ token: 0, position: r, slot: 0 })),
    outputs: [],
  };
  return {
    ops,
    sizes: { maxRows: rows, maxOutputs: 1, slots: 1, context: 1024 },
    weights: {
      'first norm': vectorWeight(random.normals(WIDTH)),
      'second norm': vectorWeight(random.normals(WIDTH)),
      ...{ q: randomWeight(random, type, 70, WIDTH), k: randomWeight(random, type, 33, WIDTH) },
      v: randomWeight(random, type === 'Q4_K' ? 'Q6_K' : type, 33, WIDTH),
      ...{ gate: randomWeight(random, type, HIDDEN, WIDTH), up: randomWeight(random, type, HIDDEN, WIDTH) },
    },
    buffers: {
      x: floats(random.normals(rows * WIDTH, 2)),
      [NORMED]: poisoned(rows * WIDTH),
      ...{ a: poisoned(rows * 70), b: poisoned(rows * 33), c: poisoned(rows * 33) },
      hidden: poisoned(rows * HIDDEN),
    },
    passes: Array.from({ length: passes }, () => pass),
  };
}

const TYPES: readonly GgmlType[] = ['Q8_0', 'Q4_K', 'Q6_K', 'Q4_0', 'Q5_1', 'Q3_K'];

export const FUSED_CASES: readonly KernelCase[] = TYPES.flatMap((type) =>
  [1, 4, 70].map((rows): KernelCase => {
    const name = `norms in front of products of ${type}, ${rows} rows`;
    return { name, kind: 'sequence', types: [type], build: () => layer(name, type, rows, rows === 70 ? 1 : 3) };
  }),
);

/** As differences(), but for the norms' own results, which are not written. */
export async function runFused(backend: Backend, kernelCase: KernelCase): Promise<string[]> {
  const expected = await expectedOf(kernelCase, EIGHT_BIT);
  const outcome = await runSetup(backend, expected.setup);
  const state = new Map(expected.state);
  state.delete(NORMED);
  return differences(outcome, { ...expected, state });
}
