// The harness itself: it lets right kernels pass, those that round activations to 8 bits included, and catches mistakes.
import { afterAll, describe, expect, it } from 'vitest';
import type { Backend, Bindings, DeviceMemory } from '../../src/backend/backend.js';
import type { Op } from '../../src/backend/ops.js';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { GGML_TYPES } from '../../src/gguf/types.js';
import type { KernelCase, Setup } from './case.js';
import { KERNEL_CASES } from './cases.js';
import { differences, type Expected, expectedOf, type Outcome, runSetup } from './harness.js';
import { blockMistakes, lastLeftOut, misread, positionsOff, roundedInput } from './mistakes.js';
import { EIGHT_BIT } from './tolerance.js';
import { isQuant } from './weights.js';

const reference = createReferenceBackend();
afterAll(() => reference.dispose());

const expectations = new Map<string, Promise<Expected>>();

/** With the widest limits that any backend gets. */
function expected(kernelCase: KernelCase): Promise<Expected> {
  const made = expectations.get(kernelCase.name) ?? expectedOf(kernelCase, EIGHT_BIT);
  expectations.set(kernelCase.name, made);
  return made;
}

function find(part: string): KernelCase {
  const found = KERNEL_CASES.find((kernelCase) => kernelCase.name.includes(part));
  if (!found) throw new Error(`no case is named like ${part}`);
  return found;
}

/** What the harness says of a setup with a mistake, beside the same case without it. */
async function caught(kernelCase: KernelCase, change: (setup: Setup) => Setup): Promise<string[]> {
  const right = await expected(kernelCase);
  return differences(await runSetup(reference, change(right.setup)), right);
}

const quants = GGML_TYPES.filter(isQuant);

describe('misread blocks', () => {
  const shapes = ['1 row, one block', '3 rows, 11 blocks, two accumulated', '1 row, long', 'extreme blocks, 9 rows'];
  const pairs = quants.flatMap((type) =>
    Object.entries(blockMistakes(type)).map(([what, mistake]) => ({ type, what, mistake })),
  );
  it.each(pairs)('$type: $what', async ({ type, mistake }) => {
    const cases = [
      ...shapes.map((shape) => `matmul ${type}: ${shape}`),
      `gated-matmul ${type}: 17 rows`,
      `embed ${type}: 7 rows`,
    ];
    for (const name of cases) {
      expect(await caught(find(name), (setup) => misread(setup, type, mistake)), name).not.toEqual([]);
    }
  });
});

describe('activations of 8 bits', () => {
  const shapes = ['2 rows, 3 blocks, bias', '16 outputs', '33 rows', '1 row, tall', 'extreme blocks, 9 rows'];
  it.each(quants)('%s: rounding to nearest passes', async (type) => {
    for (const shape of shapes) {
      expect(await caught(find(`matmul ${type}: ${shape}`), (setup) => roundedInput(setup, Math.round)), shape).toEqual(
        [],
      );
    }
  });

  // Of few activation rows the errors are alike by chance: it takes several to tell.
  it.each(quants)('%s: cutting off instead is caught', async (type) => {
    for (const shape of ['16 outputs', '33 rows']) {
      const cutOff = await caught(find(`matmul ${type}: ${shape}`), (setup) => roundedInput(setup, Math.trunc));
      expect(cutOff, shape).not.toEqual([]);
    }
  });
});

/** Changes the only op, which is of this kind. */
function withOp<K extends Op['kind']>(kind: K, change: (op: Extract<Op, { kind: K }>) => Op) {
  return (setup: Setup): Setup => {
    const [op] = setup.ops;
    if (op.kind !== kind) throw new Error(`expected ${kind}, got ${op.kind}`);
    return { ...setup, ops: [change(op as Extract<Op, { kind: K }>)] };
  };
}

const noBias = withOp('matmul', (op) => ({ ...op, parts: op.parts.map((part) => ({ ...part, bias: null })) }));
const otherPairs = withOp('rope-kv-write', (op) => ({ ...op, neox: !op.neox }));
const mixedRope = 'rope-kv-write 4/2 heads of 80, interleaved rope of 40, norms q and k';
const farAttention = 'attention 4/2 heads of 64, window 0, decodes at 511, 512, 1023';

const WRONG_OPS: readonly (readonly [what: string, name: string, change: (setup: Setup) => Setup])[] = [
  ['no bias', 'matmul F32: 2 rows, 3 blocks, bias', noBias],
  ['no bias', 'matmul Q4_0: 7 rows, three with biases', noBias],
  ['not accumulated', 'matmul Q8_0: 33 rows', withOp('matmul', (op) => ({ ...op, accumulate: false }))],
  ['eps left out', 'rms-norm 33 rows of 96', withOp('rms-norm', (op) => ({ ...op, eps: 0 }))],
  ['eps ten times', 'rms-norm 33 rows of 96', withOp('rms-norm', (op) => ({ ...op, eps: 1e-5 }))],
  ['one position late', mixedRope, (setup) => positionsOff(setup, 1)],
  ['one position early', mixedRope, (setup) => positionsOff(setup, -1)],
  ['pairs of the other kind', mixedRope, otherPairs],
  ['one pair too few', mixedRope, withOp('rope-kv-write', (op) => ({ ...op, ropeDim: op.ropeDim - 2 }))],
  ['no q norm', mixedRope, withOp('rope-kv-write', (op) => ({ ...op, qNorm: null }))],
  ['no k norm', mixedRope, withOp('rope-kv-write', (op) => ({ ...op, kNorm: null }))],
  ['one position too few', farAttention, (setup) => positionsOff(setup, -1)],
  [
    'one position too many',
    'attention 4/2 heads of 64, window 0, prompt across 256',
    (setup) => positionsOff(setup, 1),
  ],
  ['scale off by 1 %', farAttention, withOp('attention', (op) => ({ ...op, scale: op.scale * 1.01 }))],
  ['window too short', 'window 256, decodes at 511', withOp('attention', (op) => ({ ...op, window: op.window - 1 }))],
  ['window too long', 'window 256, decodes at 511', withOp('attention', (op) => ({ ...op, window: op.window + 1 }))],
  ['no window', 'window 100, prompt of 70', withOp('attention', (op) => ({ ...op, window: 0 }))],
];

describe('wrong ops', () => {
  it.each(WRONG_OPS)('%s: %s', async (_, name, change) => {
    expect(await caught(find(name), change)).not.toEqual([]);
  });

  const kinds = [
    'embed F32',
    'rms-norm 33',
    'matmul F16: 33',
    'gated-matmul F32',
    'rope-kv-write 4/2',
    'attention 4/2',
    'top-k 256',
  ];
  it.each(kinds)('%s: nothing computed', async (name) => {
    expect(await caught(find(name), (setup) => ({ ...setup, ops: [] }))).not.toEqual([]);
  });

  it.each(['embed F32: 7', ...kinds.slice(1), 'matmul F32: 16 outputs'])('%s: last row not computed', async (name) => {
    expect(await caught(find(name), lastLeftOut)).not.toEqual([]);
  });

  it('rows of the step taken for its outputs', async () => {
    const shifted = (setup: Setup): Setup => ({
      ...setup,
      passes: setup.passes.map(({ rows, outputs }) => ({ rows, outputs: outputs.map((o, row) => ({ ...o, row })) })),
    });
    expect(await caught(find('rms-norm outputs [15,0,4,4,9]'), shifted)).not.toEqual([]);
  });
});

/** What the harness says once some words of a right outcome have been changed. */
async function afterEdit(name: string, buffer: string, edit: (words: Uint32Array, values: Float32Array) => void) {
  const right = await expected(find(name));
  const outcome: Outcome = await runSetup(reference, right.setup);
  const bytes = outcome.state.get(buffer)!;
  edit(new Uint32Array(bytes.buffer), new Float32Array(bytes.buffer));
  return differences(outcome, right);
}

describe('wrong values', () => {
  const ties = 'top-k 256 of 3001, ties logits';
  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%s', async (value) => {
    const problems = await afterEdit('matmul Q4_K: 33 rows', 'out 0', (_, values) => values.fill(value, 77, 78));
    expect(problems[0]).toContain('out 0[77]');
  });

  it('two ties in the wrong order', async () => {
    expect(await afterEdit(ties, 'out', () => {})).toEqual([]);
    expect(await afterEdit(ties, 'out', (words) => words.set([words[6], words[5], words[4], words[7]], 4))).not.toEqual(
      [],
    );
  });

  it('a candidate too few, a target too many, a log-sum-exp off by 1e-4', async () => {
    expect(await afterEdit(ties, 'out', (words) => words.fill(255, 2, 3))).not.toEqual([]);
    expect(await afterEdit(ties, 'out', (_, values) => values.fill(1, 1, 2))).not.toEqual([]);
    expect(await afterEdit(ties, 'out', (_, values) => values.set([values[0] + 1e-4]))).not.toEqual([]);
  });

  it('a value of the input buffer', async () => {
    expect(await afterEdit('attention 4/2', 'q', (words) => words.fill(words[5] ^ 1, 5, 6))).not.toEqual([]);
  });
});

/** The reference, which also writes a word of every operand's memory at `at(operand's bytes)` from its start. */
function straying(which: 'weights' | 'buffers', at: (bytes: number) => number): Backend {
  let bound: Bindings;
  return {
    device: reference.device,
    allocateDevice: (bytes, label) => reference.allocateDevice(bytes, label),
    allocateHost: (bytes, label) => reference.allocateHost(bytes, label),
    record: (ops, bindings) => {
      bound = bindings;
      return reference.record(ops, bindings);
    },
    copy: (from, to) => reference.copy(from, to),
    submit(list, step) {
      const stray = (memory: DeviceMemory, offset: number) =>
        reference.copy(
          { memory: reference.allocateHost(1, 'stray'), offset: 0, bytes: 1 },
          { memory, offset, bytes: 1 },
        );
      reference.submit(list, step);
      const ranges =
        which === 'buffers' ? [...bound.buffers.values()] : [...bound.weights.values()].map((weight) => weight.range);
      return ranges.map((range) => stray(range.memory, range.offset + at(range.bytes)))[0];
    },
    read: (range) => reference.read(range),
    wait: (fence) => reference.wait(fence),
    dispose: () => reference.dispose(),
  };
}

describe('stray writes', () => {
  it.each([
    ['buffers', 'after', (bytes: number) => bytes],
    ['buffers', 'far after', (bytes: number) => bytes + 200],
    ['buffers', 'before', () => -1],
    ['weights', 'after', (bytes: number) => bytes],
    ['weights', 'into', () => 3],
  ] as const)('%s: %s', async (which, _, at) => {
    const right = await expected(find('matmul Q5_0: 7 rows'));
    const { faults } = await runSetup(straying(which, at), right.setup);
    expect(faults).toHaveLength(which === 'buffers' ? 4 : 5);
  });

  it('into rows that the pass does not have', async () => {
    const right = await expected(find('matmul Q5_0: 1 row, tall'));
    const outcome = await runSetup(
      straying('buffers', (bytes) => bytes - 1),
      right.setup,
    );
    expect(differences(outcome, right).join()).toContain('out 0');
  });
});
