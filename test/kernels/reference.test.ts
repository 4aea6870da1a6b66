// The reference against numbers that follow from the formulas alone. Everything else is compared with the reference.
import { afterAll, describe, expect, it } from 'vitest';
import type { AttentionOp, Op, RopeKvWriteOp } from '../../src/backend/ops.js';
import { outputBytes, readOutputs } from '../../src/backend/outputs.js';
import { f16ToNumber, numberToF16 } from '../../src/backend/reference/f16.js';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { floats, halves, type Pass, plainPass, poisoned, type Setup, type TestBuffer } from './case.js';
import { rotations } from './cases/heads.js';
import { sequenceCases } from './cases/sequence.js';
import { KERNEL_CASES } from './cases.js';
import { expectedOf, numbersIn, runSetup, wrongCuts } from './harness.js';
import { EIGHT_BIT } from './tolerance.js';
import { type TestWeight, vectorWeight } from './weights.js';

const backend = createReferenceBackend();
afterAll(() => backend.dispose());

const f32 = (...values: number[]) => Float32Array.from(values);

function matrix(...rows: readonly (readonly number[])[]): TestWeight {
  return { ...vectorWeight(Float32Array.from(rows.flat())), rows: rows.length, cols: rows[0].length };
}

interface Run {
  readonly op: Op;
  readonly pass?: Pass;
  readonly weights?: Record<string, TestWeight>;
  readonly buffers: Record<string, TestBuffer>;
  readonly slots?: number;
  readonly context?: number;
}

/** Runs one op, and gives the words of `name` afterwards. */
async function run({ op, pass = plainPass(1), weights = {}, buffers, slots = 1, context = 8 }: Run, name = 'out') {
  const sizes = { maxRows: pass.rows.length, maxOutputs: Math.max(1, pass.outputs.length), slots, context };
  const setup: Setup = { ops: [op], sizes, weights, buffers, passes: [pass] };
  const { state, faults } = await runSetup(backend, setup);
  expect(faults).toEqual([]);
  return state.get(name)!.buffer;
}

async function runFloats(what: Run, name = 'out'): Promise<number[]> {
  return [...new Float32Array(await run(what, name))];
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of actual.entries()) expect(value, `value ${i}`).toBeCloseTo(expected[i], 5);
}

describe('embed', () => {
  it('takes the rows of the tokens', async () => {
    const rows = [2, 0].map((token, position) => ({ token, position, slot: 0 }));
    const out = await runFloats({
      op: { kind: 'embed', table: 'table', out: 'out' },
      pass: { rows, outputs: [] },
      weights: { table: matrix([1, 2], [3, 4], [5, 6]) },
      buffers: { out: poisoned(4) },
    });
    expect(out).toEqual([5, 6, 1, 2]);
  });
});

describe('rms-norm', () => {
  const op = { kind: 'rms-norm', input: 'in', weight: 'w', out: 'out', width: 2, selectOutputs: false } as const;
  const weights = { w: vectorWeight(f32(1, 2)) };

  it('divides by the root of the mean square', async () => {
    // mean of 9 and 16 is 12.5
    const buffers = { in: floats(f32(3, 4)), out: poisoned(2) };
    expectClose(await runFloats({ op: { ...op, eps: 0 }, weights, buffers }), [
      3 / Math.sqrt(12.5),
      8 / Math.sqrt(12.5),
    ]);
  });

  it('adds eps to the mean', async () => {
    // 12.5 + 3.5 = 4^2
    const buffers = { in: floats(f32(3, 4)), out: poisoned(2) };
    expectClose(await runFloats({ op: { ...op, eps: 3.5 }, weights, buffers }), [0.75, 2]);
  });

  it('selects the rows of the outputs', async () => {
    const pass = { ...plainPass(3), outputs: [2, 0].map((row) => ({ row, target: null })) };
    const buffers = { in: floats(f32(1, 1, 9, 9, -2, 2)), out: poisoned(4) };
    expectClose(await runFloats({ op: { ...op, eps: 0, selectOutputs: true }, pass, weights, buffers }), [-1, 2, 1, 2]);
  });
});

describe('matmul', () => {
  const weights = { w: matrix([1, 2, 3], [4, 5, 6]), b: vectorWeight(f32(10, 20)) };
  const op = (bias: string | null, accumulate = false): Op => ({
    kind: 'matmul',
    input: 'in',
    parts: [{ weight: 'w', bias, out: 'out' }],
    accumulate,
    outputs: false,
  });
  const input = floats(f32(1, 0, -1, 2, 1, 0.5));

  it('multiplies rows by rows', async () => {
    const buffers = { in: input, out: poisoned(4) };
    expect(await runFloats({ op: op(null), pass: plainPass(2), weights, buffers })).toEqual([-2, -2, 5.5, 16]);
  });

  it('adds the bias, and to what is there', async () => {
    const buffers = { in: input, out: floats(f32(1, 2, 3, 4)) };
    expect(await runFloats({ op: op('b', true), pass: plainPass(2), weights, buffers })).toEqual([9, 20, 18.5, 40]);
  });
});

describe('gated-matmul', () => {
  it('is silu of the gate times up', async () => {
    // silu(ln 3) = 3/4 ln 3, silu(0) = 0, silu(-ln 3) = -1/4 ln 3
    const ln3 = Math.log(3);
    const out = await runFloats({
      op: { kind: 'gated-matmul', input: 'in', gate: 'gate', up: 'up', out: 'out', activation: 'silu' },
      weights: { gate: matrix([ln3, 0], [0, 0], [-ln3, 0]), up: matrix([0, 2], [0, 2], [0, 8]) },
      buffers: { in: floats(f32(1, 1)), out: poisoned(3) },
    });
    expectClose(out, [1.5 * ln3, 0, -2 * ln3]);
  });
});

describe('rope-kv-write', () => {
  const headDim = 8;
  const q = f32(1, 2, 3, 4, 5, 6, 7, 8);
  const v = f32(0.5, 1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, -3, 65504, 0);

  async function rope(position: number, change: Partial<RopeKvWriteOp> = {}, weights: Run['weights'] = {}) {
    const op: RopeKvWriteOp = {
      kind: 'rope-kv-write',
      ...{ q: 'q', k: 'k', v: 'v', kCache: 'k cache', vCache: 'v cache', table: 'table', qNorm: null, kNorm: null },
      ...{ heads: 1, kvHeads: 1, headDim, ropeDim: headDim, neox: false, eps: 0, ...change },
    };
    const cache = () => halves(new Uint16Array(2 * 8 * headDim));
    const what: Run = {
      op,
      pass: { rows: [{ token: 0, position, slot: 1 }], outputs: [] },
      weights,
      buffers: {
        ...{ q: floats(q.slice()), k: floats(q.slice()), v: floats(v.slice()), 'k cache': cache(), 'v cache': cache() },
        table: floats(rotations(op.ropeDim, 8)),
      },
      slots: 2,
    };
    const halvesIn = async (name: string) => Array.from(new Uint16Array(await run(what, name)), f16ToNumber);
    return { q: await runFloats(what, 'q'), k: await halvesIn('k cache'), v: await halvesIn('v cache') };
  }

  const cell = (cache: number[], position: number) => cache.slice((8 + position) * headDim, (9 + position) * headDim);

  it('turns pair i by position * 10000^(-2i / dim)', async () => {
    const turned = (x: number, y: number, angle: number) => [
      x * Math.cos(angle) - y * Math.sin(angle),
      x * Math.sin(angle) + y * Math.cos(angle),
    ];
    const angles = [3, 0.3, 0.03, 0.003];
    expectClose(
      (await rope(3)).q,
      angles.flatMap((angle, i) => turned(q[2 * i], q[2 * i + 1], angle)),
    );
    const neox = angles.map((angle, i) => turned(q[i], q[i + 4], angle));
    expectClose((await rope(3, { neox: true })).q, [...neox.map(([x]) => x), ...neox.map(([, y]) => y)]);
  });

  it('gives scores that depend on the distance only', async () => {
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    const [at1, at3, at5, at7] = await Promise.all([1, 3, 5, 7].map(async (position) => (await rope(position)).q));
    expect(dot(at3, at1)).toBeCloseTo(dot(at7, at5), 3);
    expect(dot(at3, at1)).not.toBeCloseTo(dot(at7, at1), 0);
    expect(dot(at7, at7)).toBeCloseTo(204, 3);
  });

  it('leaves position 0 and what lies behind ropeDim as it is', async () => {
    expect((await rope(0)).q).toEqual([...q]);
    expect((await rope(5, { ropeDim: 4 })).q.slice(4)).toEqual([...q.subarray(4)]);
    expect((await rope(5, { ropeDim: 4, neox: true })).q.slice(4)).toEqual([...q.subarray(4)]);
  });

  it('writes k and v to their place as f16, and nothing else', async () => {
    const { q: rotated, k, v: values } = await rope(6);
    expect(cell(k, 6)).toEqual(rotated.map((value) => f16ToNumber(numberToF16(value))));
    expect(cell(values, 6)).toEqual([0.5, 1, 1, 1 + 2 ** -9, 0, -3, 65504, 0]);
    for (const cache of [k, values]) expect(cache.filter((value) => value !== 0).length).toBeLessThanOrEqual(headDim);
  });

  it('norms each head before it turns', async () => {
    const weights = { n: vectorWeight(f32(1, 1, 1, 1, 1, 1, 1, 2)) };
    const root = Math.sqrt(204 / 8);
    const { q: normed, k } = await rope(0, { qNorm: 'n', kNorm: null }, weights);
    expectClose(
      normed,
      [1, 2, 3, 4, 5, 6, 7, 16].map((value) => value / root),
    );
    expect(cell(k, 0)).toEqual([...q]);
  });
});

describe('attention', () => {
  const context = 4;

  /** Caches of 2 slots, 2 heads of 2: k and v by [slot][head][position]. */
  async function attend(rows: Pass['rows'], q: readonly number[], change: Partial<AttentionOp> = {}) {
    const k: number[] = [];
    const v: number[] = [];
    for (let slot = 0; slot < 2; slot++) {
      for (let head = 0; head < 2; head++) {
        for (let position = 0; position < context; position++) {
          k.push(head === 0 ? 0 : position, 0);
          v.push(1000 * slot + 100 * head + 10 * position, 1);
        }
      }
    }
    const op: AttentionOp = {
      kind: 'attention',
      ...{
        q: 'q',
        kCache: 'k cache',
        vCache: 'v cache',
        out: 'out',
        heads: 4,
        kvHeads: 2,
        headDim: 2,
        scale: 1,
        window: 0,
      },
      ...change,
    };
    const codes = (values: number[]) => halves(Uint16Array.from(values, numberToF16));
    const buffers = { q: floats(f32(...q)), 'k cache': codes(k), 'v cache': codes(v), out: poisoned(q.length) };
    return runFloats({ op, pass: { rows, outputs: [] }, buffers, slots: 2, context });
  }

  const row = (position: number, slot: number) => ({ token: 0, position, slot });

  it('averages the values of equal scores, of its slot and its key-value head, up to its position', async () => {
    const out = await attend([row(2, 1)], [0, 0, 0, 0, 0, 0, 0, 0]);
    expectClose(out, [1010, 1, 1010, 1, 1110, 1, 1110, 1]);
  });

  it('weighs by the exponentials of the scores', async () => {
    // Head 2 scores position * ln 3 / 2 * scale 2: weights 1/4 and 3/4 at positions 0 and 1; head 3 the other way round.
    const half = Math.log(3) / 2;
    const out = await attend([row(1, 0)], [5, 5, 5, 5, half, 9, -half, 9], { scale: 2 });
    expectClose(out, [5, 1, 5, 1, 107.5, 1, 102.5, 1]);
  });

  it('looks back on a window, its own position included', async () => {
    const rows = [row(0, 0), row(3, 0), row(1, 1)];
    const first = async (window: number) =>
      (await attend(rows, new Array(24).fill(0), { window })).filter((_, i) => i % 8 === 0);
    expectClose(await first(1), [0, 30, 1010]);
    expectClose(await first(2), [0, 25, 1005]);
    expectClose(await first(9), [0, 15, 1005]);
    expectClose(await first(0), [0, 15, 1005]);
  });

  it('does not overflow', async () => {
    const out = await attend([row(3, 0)], [0, 0, 0, 0, 60000, 0, -60000, 0]);
    expectClose(out.slice(4), [130, 1, 100, 1]);
  });
});

describe('top-k', () => {
  async function topK(logits: readonly number[], k: number, targets: readonly (number | null)[] = [null]) {
    const width = logits.length / targets.length;
    const pass = { ...plainPass(targets.length), outputs: targets.map((target, row) => ({ row, target })) };
    const buffers = { in: floats(f32(...logits)), out: poisoned((targets.length * outputBytes(k)) / 4) };
    const bytes = await run({ op: { kind: 'top-k', input: 'in', out: 'out', width, k }, pass, buffers });
    return readOutputs(bytes, targets.length, k).map(({ tokens, logits, ...rest }) => ({
      ...rest,
      tokens: [...tokens],
      logits: [...logits],
    }));
  }

  it('gives the largest, ties by the lower token', async () => {
    const [{ tokens, logits }] = await topK([1, 3, 2, 3, 0, 2, 3], 5);
    expect(tokens).toEqual([1, 3, 6, 2, 5]);
    expect(logits).toEqual([3, 3, 3, 2, 2]);
  });

  it('gives all where there are fewer than k', async () => {
    expect((await topK([1, 3, 2], 5))[0].tokens).toEqual([1, 2, 0]);
  });

  it('gives the logarithm of the sum of exponentials, also of large logits', async () => {
    expect((await topK([0, 0, 0, 0], 1))[0].logSumExp).toBeCloseTo(Math.log(4), 6);
    expect((await topK([Math.log(2), Math.log(5), 0], 1))[0].logSumExp).toBeCloseTo(Math.log(8), 6);
    expect((await topK([10000, 10000], 1))[0].logSumExp).toBeCloseTo(10000 + Math.log(2), 2);
  });

  it('gives the logits of the targets', async () => {
    const outputs = await topK([1, 2, 3, 4, 5, 6], 1, [1, null, 0]);
    expect(outputs.map((output) => output.targetLogit)).toEqual([2, 0, 5]);
  });
});

describe('the cases', () => {
  it('have names of their own', () => {
    const names = KERNEL_CASES.map((kernelCase) => kernelCase.name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it.each(KERNEL_CASES.map((kernelCase) => [kernelCase.name, kernelCase] as const))('%s', async (_, kernelCase) => {
    const { setup, state, limits } = await expectedOf(kernelCase, EIGHT_BIT);
    for (const [name, values] of limits.values)
      expect(
        values.every((limit) => limit >= 0),
        name,
      ).toBe(true);
    // As one list, as other backends run it: the same bits, inside of its memory.
    const outcome = await runSetup(backend, setup);
    expect(outcome.faults).toEqual([]);
    for (const [name, bytes] of state) expect(Buffer.compare(bytes, outcome.state.get(name)!), name).toBe(0);
    // Every limit is one, and what is compared with it is a number.
    for (const [name, { element }] of Object.entries(setup.buffers)) {
      const numbers = numbersIn(state.get(name)!, element);
      limits.values.get(name)!.forEach((limit, i) => {
        if (!(limit >= 0)) throw new Error(`the limit of ${name}[${i}] is ${limit}`);
        const compared = limit > 0 && limit < Number.POSITIVE_INFINITY;
        if (compared && !Number.isFinite(numbers.at(i))) throw new Error(`${name}[${i}] is ${numbers.at(i)}`);
      });
    }
  });

  it.each(
    sequenceCases.map((kernelCase) => [kernelCase.name, kernelCase] as const),
  )('%s in segments', async (_, kernelCase) => {
    expect(await wrongCuts(backend, kernelCase.build())).toEqual([]);
  });
});
