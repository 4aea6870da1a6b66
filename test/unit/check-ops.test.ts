import { describe, expect, it } from 'vitest';
import type { Bindings, BoundWeight, DeviceMemory, DeviceRange } from '../../src/backend/backend.js';
import { checkOps } from '../../src/backend/check-ops.js';
import { checkStep, stepLimits } from '../../src/backend/check-step.js';
import type { Op, RmsNormOp, RopeKvWriteOp } from '../../src/backend/ops.js';
import { StepBuffer } from '../../src/backend/step.js';
import { type GgmlType, typeBytes } from '../../src/gguf/types.js';

const memory = (bytes: number): DeviceMemory => ({ bytes, label: 'test', free: () => {} });
const whole = (bytes: number): DeviceRange => ({ memory: memory(bytes), offset: 0, bytes });
const weight = (type: GgmlType, rows: number, cols: number): BoundWeight => ({
  type,
  rows,
  cols,
  range: whole(rows * typeBytes(type, cols)),
});

// 4 rows, 2 outputs; width 64, 2 heads of 32 over 1 key-value head, 3 slots of 16 positions, 100 tokens.
const sizes = { maxRows: 4, maxOutputs: 2, slots: 3, context: 16 };
const cacheBytes = 3 * 16 * 32 * 2;
const weights: Record<string, BoundWeight> = {
  ...{ table: weight('Q8_0', 100, 64), norm: weight('F32', 1, 64), bias: weight('F32', 1, 64) },
  ...{ square: weight('Q4_0', 64, 64), gate: weight('Q8_0', 96, 64), up: weight('F16', 96, 64) },
  ...{ headNorm: weight('F32', 1, 32), wide: weight('F32', 64, 96) },
};
const buffers: Record<string, DeviceRange> = {
  ...{ x: whole(4 * 64 * 4), y: whole(4 * 64 * 4), hidden: whole(4 * 96 * 4), selected: whole(2 * 64 * 4) },
  ...{ k: whole(4 * 32 * 4), v: whole(4 * 32 * 4), kCache: whole(cacheBytes), vCache: whole(cacheBytes) },
  ...{ rope: whole(16 * 32 * 4), logits: whole(2 * 100 * 4), best: whole(2 * (16 + 8 * 10)) },
};

const embed = { kind: 'embed', table: 'table', out: 'x' } as const;
const rmsNorm: RmsNormOp = {
  ...{ kind: 'rms-norm', input: 'x', weight: 'norm', out: 'selected', width: 64, eps: 1e-5, selectOutputs: true },
};
const part = { weight: 'square', bias: 'bias', out: 'y' } as const;
const matmul = { kind: 'matmul', input: 'x', parts: [part], accumulate: true, outputs: false } as const;
const gated = { kind: 'gated-matmul', input: 'x', gate: 'gate', up: 'up', out: 'hidden', activation: 'silu' } as const;
const heads = { kCache: 'kCache', vCache: 'vCache', heads: 2, kvHeads: 1, headDim: 32 } as const;
const rope: RopeKvWriteOp = {
  ...{ kind: 'rope-kv-write', q: 'x', k: 'k', v: 'v', ...heads, table: 'rope', qNorm: 'headNorm', kNorm: null },
  ...{ ropeDim: 32, neox: true, eps: 1e-6 },
};
const attention = { kind: 'attention', q: 'x', ...heads, out: 'y', scale: 0.2, window: 0 } as const;
const topK = { kind: 'top-k', input: 'logits', out: 'best', width: 100, k: 10 } as const;

interface Change {
  readonly sizes?: Partial<Bindings['sizes']>;
  readonly weights?: Record<string, BoundWeight>;
  readonly buffers?: Record<string, DeviceRange>;
}

function bind(change: Change = {}): Bindings {
  return {
    weights: new Map(Object.entries({ ...weights, ...change.weights })),
    buffers: new Map(Object.entries({ ...buffers, ...change.buffers })),
    sizes: { ...sizes, ...change.sizes },
  };
}

const internal = (message: RegExp) =>
  expect.objectContaining({ code: 'internal', message: expect.stringMatching(message) });

describe('checkOps', () => {
  it('lets ops pass that fit their bindings exactly', () => {
    expect(() => checkOps([embed, rmsNorm, matmul, gated, rope, attention, topK], bind())).not.toThrow();
  });

  const bad: readonly (readonly [what: string, op: Op, change: Change, message: RegExp])[] = [
    ['an unbound table', { ...embed, table: 'none' }, {}, /op 0 \(embed\).*none/],
    ['an unbound buffer', { ...embed, out: 'none' }, {}, /one named none/],
    [
      'a table that is cut off',
      embed,
      { weights: { table: { ...weights.table, range: whole(100) } } },
      /bytes of table/,
    ],
    ['columns that are no whole blocks', matmul, { weights: { square: weight('Q4_K', 64, 64) } }, /columns of square/],
    ['rows of zero', embed, { weights: { table: weight('Q8_0', 0, 64) } }, /shape of table/],
    ['an activation that is cut off', rmsNorm, { buffers: { x: whole(4 * 64 * 4 - 4) } }, /bytes of x.*1024.*1020/],
    ['too few outputs of room', rmsNorm, { sizes: { maxOutputs: 3 } }, /bytes of selected/],
    ['a norm of another width', rmsNorm, { weights: { norm: weight('F32', 1, 32) } }, /norm.*1 x 64.*1 x 32/],
    ['a norm that is not F32', rmsNorm, { weights: { norm: weight('F16', 1, 64) } }, /F32/],
    ['an eps that is no number', { ...rmsNorm, eps: Number.NaN }, {}, /eps/],
    ['no parts', { ...matmul, parts: [] }, {}, /parts/],
    ['four parts', { ...matmul, parts: [part, part, part, part] }, {}, /parts/],
    ['parts of different columns', { ...matmul, parts: [part, { ...part, weight: 'wide' }] }, {}, /columns of wide/],
    ['a bias of another length', { ...matmul, parts: [{ ...part, bias: 'headNorm' }] }, {}, /headNorm/],
    ['two parts with one output', { ...matmul, parts: [part, part] }, {}, /output/],
    ['a product over its own input', { ...matmul, input: 'y' }, {}, /output/],
    ['gate and up of different rows', gated, { weights: { up: weight('F16', 64, 64) } }, /rows of up/],
    ['gate and up of different columns', gated, { weights: { up: weight('F16', 96, 32) } }, /columns of up/],
    ['heads that do not share evenly', { ...rope, heads: 2, kvHeads: 3 }, {}, /heads/],
    ['an odd rotation', { ...rope, ropeDim: 31 }, {}, /ropeDim/],
    ['a rotation wider than the head', { ...rope, ropeDim: 34 }, {}, /ropeDim/],
    ['a cache with too few positions', rope, { buffers: { kCache: whole(cacheBytes - 2) } }, /bytes of kCache/],
    ['a table with too few positions', rope, { buffers: { rope: whole(15 * 32 * 4) } }, /bytes of rope/],
    ['k and v of one cache', { ...rope, vCache: 'kCache' }, {}, /output/],
    ['a negative window', { ...attention, window: -1 }, {}, /window/],
    ['a scale without end', { ...attention, scale: Number.POSITIVE_INFINITY }, {}, /scale/],
    ['attention over its own queries', { ...attention, out: 'x' }, {}, /output/],
    ['more candidates than there is room for', { ...topK, k: 11 }, {}, /bytes of best/],
    ['no candidates', { ...topK, k: 0 }, {}, /k/],
    ['no context', embed, { sizes: { context: 0 } }, /sizes.context/],
    ['a range outside of its memory', embed, { buffers: { x: { ...buffers.x, offset: 4 } } }, /range of x/],
    [
      'a range that is not on a word',
      embed,
      { buffers: { x: { memory: memory(2048), offset: 2, bytes: 1024 } } },
      /offset of x/,
    ],
    [
      'a matrix off its alignment',
      embed,
      { weights: { table: { ...weights.table, range: { memory: memory(10000), offset: 16, bytes: 6800 } } } },
      /offset of table/,
    ],
  ];
  it.each(bad)('refuses %s', (_, op, change, message) => {
    expect(() => checkOps([op], bind(change))).toThrowError(internal(message));
  });

  it('names the op', () => {
    expect(() => checkOps([embed, embed, { ...topK, k: 0 }], bind())).toThrowError(internal(/op 2 \(top-k\)/));
  });

  it('lets ops have neighbouring ranges of one memory', () => {
    const shared = memory(2048);
    const change = {
      buffers: { x: { memory: shared, offset: 0, bytes: 1024 }, y: { memory: shared, offset: 1024, bytes: 1024 } },
    };
    expect(() => checkOps([matmul], bind(change))).not.toThrow();
    change.buffers.y.offset = 1020;
    change.buffers.y.bytes = 1028;
    expect(() => checkOps([matmul], bind(change))).toThrowError(internal(/output/));
  });
});

describe('checkStep', () => {
  const limits = stepLimits([embed, topK], bind());
  const step = (...rows: readonly (readonly [token: number, position: number, slot: number])[]) => {
    const made = new StepBuffer(4, 2);
    for (const [token, position, slot] of rows) made.addRow(token, position, slot);
    return made;
  };

  it('lets mixed batches pass', () => {
    const mixed = step([99, 15, 2], [0, 0, 0], [1, 1, 0], [5, 7, 1]);
    mixed.addOutput(3, 99);
    mixed.addOutput(0);
    expect(() => checkStep(mixed, limits)).not.toThrow();
    expect(() => checkStep(step(), limits)).not.toThrow();
  });

  it.each([
    ['a token outside of the vocabulary', step([100, 0, 0]), /token 100/],
    ['a slot that is not there', step([0, 0, 3]), /slot 3/],
    ['a position behind the context', step([0, 0, 0], [0, 16, 1]), /position 16 in row 1/],
    ['two rows at one place', step([0, 3, 1], [0, 3, 1]), /position 3 of slot 1/],
    ['positions that go back', step([0, 3, 1], [0, 9, 0], [0, 2, 1]), /position 2 of slot 1/],
    ['a step of another size', new StepBuffer(5, 2), /5 rows/],
  ])('refuses %s', (_, made, message) => {
    expect(() => checkStep(made, limits)).toThrowError(internal(message));
  });

  it('refuses outputs of rows and targets that are not there', () => {
    const one = step([0, 0, 0]);
    one.addOutput(1);
    expect(() => checkStep(one, limits)).toThrowError(internal(/row 1 as output 0/));
    const other = step([0, 0, 0]);
    other.addOutput(0, 100);
    expect(() => checkStep(other, limits)).toThrowError(internal(/target 100/));
  });

  it('knows no vocabulary in a list that neither embeds nor chooses', () => {
    const far = step([1e6, 0, 0]);
    far.addOutput(0, 1e6);
    expect(() => checkStep(far, stepLimits([matmul], bind()))).not.toThrow();
  });
});
