// Products as a GPU gets them: several rows of weights a thread, matrices of one memory in one dispatch, matrices that
// exceed a binding. Software adapters take smaller kernels for speed, so the shared cases do not reach these there.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Bindings, BoundWeight, DeviceRange } from '../../src/backend/backend.js';
import type { Op } from '../../src/backend/ops.js';
import { StepBuffer } from '../../src/backend/step.js';
import { openDevice } from '../../src/backend/webgpu/adapter.js';
import { WebGpuBackend } from '../../src/backend/webgpu/webgpu.js';
import { GGML_TYPES, type GgmlType } from '../../src/gguf/types.js';
import { onTestDevice, SKIP_WEBGPU, TEST_ADAPTER } from '../webgpu-device.js';
import { floats, plainPass, poisoned, type Setup, type TestBuffer } from './case.js';
import { activations } from './cases/matmul.js';
import { differences, expectedOf, type Outcome } from './harness.js';
import { Random } from './random.js';
import type { Precision } from './tolerance.js';
import { isQuant, randomWeight, type TestWeight, vectorWeight } from './weights.js';

/** Where the first range starts: not where a binding may, on devices that align to 256. */
const START = 128;
const EIGHT_BIT: Precision = { activationBlock: (type) => (isQuant(type) ? 32 : 0) };

/** To what matrices are promised, and no more. */
const padded = (bytes: number) => Math.ceil(bytes / 32) * 32;

/** Runs a setup of one pass with all weights in one memory, and its vectors in another. */
async function runTogether(backend: WebGpuBackend, setup: Setup): Promise<Outcome> {
  const weights = new Map<string, BoundWeight>();
  const buffers = new Map<string, DeviceRange>();
  const place = async (label: string, items: readonly (readonly [string, Uint8Array])[]) => {
    const bytes = items.reduce((sum, [, item]) => sum + padded(item.length), START);
    const host = backend.allocateHost(bytes, label);
    const memory = backend.allocateDevice(bytes, label);
    let offset = START;
    const ranges = items.map(([name, item]) => {
      host.view(offset, item.length).set(item);
      const range = { memory, offset, bytes: item.length };
      offset += padded(item.length);
      return [name, range] as const;
    });
    await backend.wait(backend.copy({ memory: host, offset: 0, bytes }, { memory, offset: 0, bytes }));
    return ranges;
  };
  const all = Object.entries(setup.weights);
  const isVector = ([, weight]: (typeof all)[number]) => weight.rows === 1;
  for (const group of [all.filter(isVector), all.filter((each) => !isVector(each))]) {
    if (group.length === 0) continue;
    for (const [name, range] of await place(
      'weights',
      group.map(([key, { bytes }]) => [key, bytes] as const),
    )) {
      const { type, rows, cols } = setup.weights[name];
      weights.set(name, { type, rows, cols, range });
    }
  }
  for (const [name, { bytes }] of Object.entries(setup.buffers)) {
    const [[, range]] = await place(name, [[name, bytes]]);
    buffers.set(name, range);
  }
  const bindings: Bindings = { weights, buffers, sizes: setup.sizes };
  const step = new StepBuffer(setup.sizes.maxRows, setup.sizes.maxOutputs);
  for (const { token, position, slot } of setup.passes[0].rows) step.addRow(token, position, slot);
  backend.submit(backend.record(setup.ops, bindings), step);
  const state = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [name, range] of buffers) state.set(name, new Uint8Array(await backend.read(range)));
  return { state, faults: [] };
}

function setupOf(
  op: Op,
  rows: number,
  cols: number,
  outs: Readonly<Record<string, number>>,
  weights: Readonly<Record<string, TestWeight>>,
): Setup {
  const random = new Random(`${op.kind} ${rows} ${cols}`);
  const buffers: Record<string, TestBuffer> = { input: floats(activations(random, rows, cols)) };
  for (const [name, width] of Object.entries(outs)) buffers[name] = poisoned(rows * width);
  const sizes = { maxRows: rows, maxOutputs: 1, slots: 1, context: 1024 };
  return { ops: [op], sizes, weights, buffers, passes: [plainPass(rows)] };
}

/** q, k and v with biases on two of them. */
function partsSetup(type: GgmlType, rows: number, cols: number): Setup {
  const random = new Random(`parts ${type} ${rows}`);
  const heights = { q: 70, k: 33, v: 6 };
  const weights: Record<string, TestWeight> = { 'q bias': vectorWeight(random.normals(70, 3)) };
  for (const [name, height] of Object.entries(heights)) weights[name] = randomWeight(random, type, height, cols);
  weights['v bias'] = vectorWeight(random.normals(6, 3));
  const part = (name: string, bias: string | null) => ({ weight: name, bias, out: `${name} out` });
  const parts = [part('q', 'q bias'), part('k', null), part('v', 'v bias')];
  const outs = { 'q out': 70, 'k out': 33, 'v out': 6 };
  return setupOf(
    { kind: 'matmul', input: 'input', parts, accumulate: false, outputs: false },
    rows,
    cols,
    outs,
    weights,
  );
}

function gatedSetup(type: GgmlType, rows: number, cols: number): Setup {
  const random = new Random(`gated ${type} ${rows}`);
  const weights = { gate: randomWeight(random, type, 75, cols), up: randomWeight(random, type, 75, cols) };
  const op: Op = { kind: 'gated-matmul', input: 'input', gate: 'gate', up: 'up', out: 'out', activation: 'silu' };
  return setupOf(op, rows, cols, { out: 75 }, weights);
}

function tallSetup(type: GgmlType, rows: number): Setup {
  const random = new Random(`tall ${type} ${rows}`);
  const weights = { tall: randomWeight(random, type, 700, 256), bias: vectorWeight(random.normals(700, 3)) };
  const parts = [{ weight: 'tall', bias: 'bias', out: 'out' }];
  const op: Op = { kind: 'matmul', input: 'input', parts, accumulate: false, outputs: false };
  return setupOf(op, rows, 256, { out: 700 }, weights);
}

describe.skipIf(SKIP_WEBGPU)('products on a GPU', () => {
  let backend: WebGpuBackend;
  /** One that binds 32 KiB at a time. */
  let narrow: WebGpuBackend;

  beforeAll(async () => {
    const open = async (changed: object) => {
      const opened = await onTestDevice(() => openDevice({ adapter: TEST_ADAPTER }));
      const limits: Record<string, unknown> = {};
      for (const name in opened.facts.limits) limits[name] = opened.facts.limits[name as keyof GPUSupportedLimits];
      const facts = {
        ...opened.facts,
        vendor: 'a GPU',
        limits: { ...limits, ...changed } as unknown as GPUSupportedLimits,
      };
      return new WebGpuBackend({ ...opened, facts });
    };
    backend = await open({ minStorageBufferOffsetAlignment: 256 });
    narrow = await open({ minStorageBufferOffsetAlignment: 256, maxStorageBufferBindingSize: 32 << 10 });
  });

  afterAll(async () => {
    await backend?.dispose();
    await narrow?.dispose();
  });

  const check = async (on: WebGpuBackend, setup: Setup) => {
    const expected = await expectedOf({ name: '', kind: setup.ops[0].kind, types: [], build: () => setup }, EIGHT_BIT);
    expect(differences(await runTogether(on, setup), expected)).toEqual([]);
  };

  it.each(GGML_TYPES)('three matrices of %s in one dispatch', (type) => check(backend, partsSetup(type, 1, 512)));

  it.each(['Q8_0', 'Q4_K'] as const)('gate and up of %s in one dispatch', (type) =>
    check(backend, gatedSetup(type, 1, 768)));

  it('every variant up to 40 rows', async () => {
    await check(backend, partsSetup('Q4_K', 40, 256));
    await check(backend, gatedSetup('Q8_0', 7, 256));
  });

  it.each(['Q8_0', 'Q4_K', 'F32'] as const)('%s in ranges of rows', (type) => check(narrow, tallSetup(type, 2)));

  it('gate and up that no binding holds', () => check(narrow, gatedSetup('Q8_0', 1, 1024)));
});
