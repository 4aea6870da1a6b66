// A layer as one list, where ops hand each other codes and take each other's work (src/backend/webgpu/flow.ts), against the
// same ops cut into other lists: by units, which must give the same bits, and one by one, which differ in roundings alone.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Bindings, BoundWeight, DeviceRange } from '../../src/backend/backend.js';
import type { Op } from '../../src/backend/ops.js';
import { StepBuffer } from '../../src/backend/step.js';
import { openDevice } from '../../src/backend/webgpu/adapter.js';
import { canHandOn, flowOf } from '../../src/backend/webgpu/flow.js';
import { WebGpuBackend } from '../../src/backend/webgpu/webgpu.js';
import type { GgmlType } from '../../src/gguf/types.js';
import { SKIP_WEBGPU, TEST_ADAPTER } from '../webgpu-device.js';
import type { Row } from './case.js';
import { prompt, rotations, SLOTS } from './cases/heads.js';
import { Random } from './random.js';
import { randomWeight, type TestWeight, vectorWeight } from './weights.js';

const WIDTH = 512;
const FFN = 768;
const HEADS = { heads: 8, kvHeads: 2, headDim: 64 };
const KV = HEADS.kvHeads * HEADS.headDim;
const CONTEXT = 300;
const ROWS = 20;
const SIZES = { maxRows: ROWS, maxOutputs: 4, slots: SLOTS, context: CONTEXT };

interface Types {
  readonly name: string;
  readonly qk: GgmlType;
  readonly v: GgmlType;
  readonly down: GgmlType;
  readonly norms: boolean;
}

const TYPES: readonly Types[] = [
  { name: 'Q8_0', qk: 'Q8_0', v: 'Q8_0', down: 'Q8_0', norms: false },
  { name: 'Q4_K with Q6_K', qk: 'Q4_K', v: 'Q6_K', down: 'Q6_K', norms: false },
  { name: 'Q5_0, heads with norms', qk: 'Q5_0', v: 'Q5_0', down: 'Q4_0', norms: true },
];

const part = (weight: string, out: string, bias: string | null = null) => ({ weight, bias, out });
const norm = (weight: string, out: string, selectOutputs = false): Op => ({
  kind: 'rms-norm',
  ...{ input: 'x', weight, out, width: WIDTH, eps: 1e-5, selectOutputs },
});
const residual = (input: string, weight: string, bias: string | null): Op => ({
  kind: 'matmul',
  ...{ input, parts: [part(weight, 'x', bias)], accumulate: true, outputs: false },
});

function attentionOps({ norms }: Types): Op[] {
  const caches = { kCache: 'k cache', vCache: 'v cache' };
  const headNorm = norms ? 'head norm' : null;
  return [
    norm('norm 1', 'normed'),
    {
      kind: 'matmul',
      ...{ input: 'normed', parts: [part('wq', 'q', 'q bias'), part('wk', 'k'), part('wv', 'v')] },
      ...{ accumulate: false, outputs: false },
    },
    {
      kind: 'rope-kv-write',
      ...{ q: 'q', k: 'k', v: 'v', ...caches, table: 'table', qNorm: headNorm, kNorm: headNorm },
      ...{ ...HEADS, ropeDim: HEADS.headDim, neox: norms, eps: 1e-5 },
    },
    { kind: 'attention', ...{ q: 'q', ...caches, out: 'attended', ...HEADS, scale: 1 / 8, window: 0 } },
    residual('attended', 'wo', 'o bias'),
  ];
}

const FEED_FORWARD: readonly Op[] = [
  norm('norm 2', 'normed'),
  { kind: 'gated-matmul', input: 'normed', gate: 'gate', up: 'up', out: 'hidden', activation: 'silu' },
  residual('hidden', 'down', null),
];

const OUTPUT: readonly Op[] = [
  norm('norm 1', 'selected', true),
  { kind: 'matmul', input: 'selected', parts: [part('head', 'logits')], accumulate: false, outputs: true },
];

function weightsOf({ qk, v, down }: Types, random: Random): Record<string, TestWeight> {
  const gains = (count: number) => vectorWeight(random.normals(count).map((value) => 1 + 0.1 * value));
  const matrix = (type: GgmlType, rows: number, cols = WIDTH) => randomWeight(random, type, rows, cols);
  return {
    ...{ 'norm 1': gains(WIDTH), 'norm 2': gains(WIDTH), 'head norm': gains(HEADS.headDim) },
    ...{ 'q bias': vectorWeight(random.normals(WIDTH)), 'o bias': vectorWeight(random.normals(WIDTH)) },
    ...{ wq: matrix(qk, WIDTH), wk: matrix(qk, KV), wv: matrix(v, KV), wo: matrix(qk, WIDTH) },
    ...{ gate: matrix(qk, FFN), up: matrix(qk, FFN), down: matrix(down, WIDTH, FFN), head: matrix(qk, 70) },
  };
}

/** Batches of one decode step, one with several sequences, and a prompt too long for codes. */
const PASSES: readonly (readonly Row[])[] = [
  prompt(0, 0, ROWS),
  prompt(1, 0, 3),
  prompt(0, ROWS, 1),
  [...prompt(0, ROWS + 1, 1), ...prompt(1, 3, 2), ...prompt(2, 0, 1)],
  prompt(1, 5, 1),
];

describe.skipIf(SKIP_WEBGPU)('the flow of a layer', () => {
  let backend: WebGpuBackend;

  beforeAll(async () => {
    const opened = await openDevice({ adapter: TEST_ADAPTER });
    // With the kernels that a GPU gets: the software's share other code.
    backend = new WebGpuBackend({ ...opened, facts: { ...opened.facts, vendor: 'a GPU' } });
  });

  afterAll(() => backend?.dispose());

  const place = async (items: readonly (readonly [string, Uint8Array])[]): Promise<Map<string, DeviceRange>> => {
    const padded = (bytes: number) => Math.ceil(bytes / 256) * 256;
    const total = items.reduce((sum, [, bytes]) => sum + padded(bytes.length), 0);
    const host = backend.allocateHost(total, 'staging');
    const memory = backend.allocateDevice(total, items[0][0]);
    const ranges = new Map<string, DeviceRange>();
    let offset = 0;
    for (const [name, bytes] of items) {
      host.view(offset, bytes.length).set(bytes);
      ranges.set(name, { memory, offset, bytes: bytes.length });
      offset += padded(bytes.length);
    }
    await backend.wait(backend.copy({ memory: host, offset: 0, bytes: total }, { memory, offset: 0, bytes: total }));
    host.free();
    return ranges;
  };

  const bytesOf = (values: Float32Array<ArrayBuffer>) => new Uint8Array(values.buffer);

  async function bind(types: Types): Promise<Bindings> {
    const random = new Random(types.name);
    const made = weightsOf(types, random);
    const ranges = await place(Object.entries(made).map(([name, { bytes }]) => [name, bytes] as const));
    const weights = new Map<string, BoundWeight>();
    for (const [name, { type, rows, cols }] of Object.entries(made)) {
      weights.set(name, { type, rows, cols, range: ranges.get(name)! });
    }
    const sizes: Record<string, Uint8Array> = {
      x: bytesOf(random.normals(ROWS * WIDTH)),
      table: bytesOf(rotations(HEADS.headDim, CONTEXT)),
    };
    for (const name of ['normed', 'q', 'attended']) sizes[name] = new Uint8Array(ROWS * WIDTH * 4);
    for (const name of ['k', 'v']) sizes[name] = new Uint8Array(ROWS * KV * 4);
    for (const name of ['k cache', 'v cache']) sizes[name] = new Uint8Array(SLOTS * CONTEXT * KV * 2);
    sizes.hidden = new Uint8Array(ROWS * FFN * 4);
    sizes.selected = new Uint8Array(4 * WIDTH * 4);
    sizes.logits = new Uint8Array(4 * 70 * 4);
    const buffers = new Map<string, DeviceRange>();
    for (const [name, bytes] of Object.entries(sizes)) buffers.set(name, (await place([[name, bytes]])).get(name)!);
    return { weights, buffers, sizes: SIZES };
  }

  /** x, the caches and the logits after each pass. */
  async function run(types: Types, parts: readonly (readonly Op[])[]): Promise<Float32Array[]> {
    const bindings = await bind(types);
    const lists = parts.map((ops) => backend.record(ops, bindings));
    const step = new StepBuffer(SIZES.maxRows, SIZES.maxOutputs);
    const results: Float32Array[] = [];
    for (const rows of PASSES) {
      step.clear();
      for (const { token, position, slot } of rows) step.addRow(token, position, slot);
      step.addOutput(rows.length - 1);
      for (const list of lists) backend.submit(list, step);
      for (const name of ['x', 'logits']) {
        const { memory, offset } = bindings.buffers.get(name)!;
        const bytes = name === 'x' ? rows.length * WIDTH * 4 : 70 * 4;
        results.push(new Float32Array(await backend.read({ memory, offset, bytes })));
      }
    }
    for (const list of lists) list.dispose();
    for (const { memory } of bindings.buffers.values()) memory.free();
    bindings.weights.get('wq')!.range.memory.free();
    return results;
  }

  it.each(TYPES.map((types) => [types.name, types] as const))('%s: same bits however it is cut', async (_, types) => {
    const attention = attentionOps(types);
    const whole = [...attention, ...FEED_FORWARD, ...OUTPUT];
    const together = await run(types, [whole]);
    expect(together.every((values) => values.every(Number.isFinite))).toBe(true);
    expect(await run(types, [attention, FEED_FORWARD, OUTPUT])).toEqual(together);
    const single = await run(
      types,
      whole.map((op) => [op]),
    );
    together.forEach((values, i) => {
      let difference = 0;
      let size = 0;
      values.forEach((value, k) => {
        difference += (value - single[i][k]) ** 2;
        size += value ** 2;
      });
      // Activations are rounded to one part in 127 of their block's largest, before or after a norm's division.
      expect(Math.sqrt(difference / size)).toBeLessThan(0.01);
    });
  });

  it('leaves to others what they read', async () => {
    const bindings = await bind(TYPES[0]);
    const attention = attentionOps(TYPES[0]);
    const done = (ops: readonly Op[]) => flowOf(ops, bindings, backend.facts).map((flow) => flow.done);
    // SwiftShader, for one, cannot hand on.
    expect(done(attention)[2]).toBe(canHandOn(backend.facts) ? 'single' : null);
    // The rotated q, and a norm that two products take.
    expect(done([...attention, residual('q', 'wo', null)])[2]).toBeNull();
    const twice = [...FEED_FORWARD.slice(0, 2), residual('normed', 'wo', null)];
    expect(flowOf(twice, bindings, backend.facts).map(({ input }) => input)).toEqual([null, null, null]);
  });

  it('leaves five dispatches of a layer in a token, where ops can be handed on', async () => {
    const bindings = await bind(TYPES[0]);
    const ops = [...attentionOps(TYPES[0]), ...FEED_FORWARD, ...attentionOps(TYPES[0]), ...FEED_FORWARD];
    const flows = flowOf(ops, bindings, backend.facts);
    const hands = canHandOn(backend.facts);
    expect(flows.filter(({ done }) => done !== null)).toHaveLength(hands ? 5 : 0);
    const step = new StepBuffer(SIZES.maxRows, SIZES.maxOutputs);
    step.addRow(0, 0, 0);
    const list = backend.record(ops, bindings);
    // The first norm is a dispatch of its own: no product is before it.
    const { length } = await backend.profile(list, step);
    if (hands) expect(length).toBe(11);
    else expect(length).toBeGreaterThan(11);
    list.dispose();
  });
});
