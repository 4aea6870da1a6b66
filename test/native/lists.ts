// A list with every kind of op over one small model of random weights, for tests of the host addon.
import type { Backend, Bindings, BoundWeight, DeviceRange, PassSizes } from '../../src/backend/backend.js';
import type { Op } from '../../src/backend/ops.js';
import { outputBytes } from '../../src/backend/outputs.js';
import { StepBuffer } from '../../src/backend/step.js';
import { type GgmlType, typeBytes } from '../../src/gguf/types.js';

export interface Shape {
  readonly sizes: PassSizes;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  readonly k: number;
  readonly window: number;
}

/** Small numbers that repeat from run to run (a linear congruential generator; Numerical Recipes' constants). */
export function randomFloats(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

export interface TestList {
  readonly ops: readonly Op[];
  readonly bindings: Bindings;
  /** The buffers that passes write. */
  readonly results: readonly DeviceRange[];
}

/** embed, norm, q/k/v, rope, attention, output product, gated product, head, top-k; weights F32 and Q8_0. */
export function makeList(backend: Backend, shape: Shape): TestList {
  const { sizes, heads, kvHeads, headDim, vocabulary, k } = shape;
  const width = heads * headDim;
  const weights = new Map<string, BoundWeight>();
  const buffers = new Map<string, DeviceRange>();
  const buffer = (name: string, bytes: number, contents?: Uint8Array) => {
    const memory = backend.allocateHost(bytes, name);
    if (contents !== undefined) memory.view(0, bytes).set(contents);
    const range = { memory, offset: 0, bytes };
    buffers.set(name, range);
    return range;
  };
  let seed = 1;
  const weight = (name: string, type: GgmlType, rows: number, cols: number) => {
    const bytes = rows * typeBytes(type, cols);
    const memory = backend.allocateHost(bytes, name);
    const view = memory.view(0, bytes);
    const values = randomFloats(type === 'F32' ? rows * cols : bytes, seed++);
    if (type === 'F32') view.set(new Uint8Array(values.buffer));
    else for (let i = 0; i < bytes; i++) view[i] = i % 34 === 0 ? 0 : i % 34 === 1 ? 0x20 : Math.round(values[i] * 127); // Q8_0 with the scale 2^-7
    weights.set(name, { type, rows, cols, range: { memory, offset: 0, bytes } });
  };
  weight('table', 'Q8_0', vocabulary, width);
  weight('norm', 'F32', 1, width);
  weight('head norm', 'F32', 1, headDim);
  weight('q', 'Q8_0', width, width);
  weight('k', 'Q8_0', kvHeads * headDim, width);
  weight('v', 'F32', kvHeads * headDim, width);
  weight('v bias', 'F32', 1, kvHeads * headDim);
  weight('o', 'Q8_0', width, width);
  weight('gate', 'Q8_0', width, width);
  weight('up', 'Q8_0', width, width);
  const rows = 4 * sizes.maxRows;
  buffer('x', rows * width);
  for (const name of ['normed', 'q', 'attended', 'gated']) buffer(name, rows * width);
  for (const name of ['k', 'v']) buffer(name, rows * kvHeads * headDim);
  for (const name of ['k cache', 'v cache']) buffer(name, 2 * sizes.slots * kvHeads * sizes.context * headDim);
  const angles = randomFloats((sizes.context * headDim) / 2, 99);
  const table = Float32Array.from({ length: sizes.context * headDim }, (_, i) =>
    i % 2 === 0 ? Math.cos(angles[i >> 1]) : Math.sin(angles[i >> 1]),
  );
  buffer('rope', 4 * table.length, new Uint8Array(table.buffer));
  buffer('last', 4 * sizes.maxOutputs * width);
  buffer('logits', 4 * sizes.maxOutputs * vocabulary);
  buffer('candidates', sizes.maxOutputs * outputBytes(k));
  return { ops: opsOf(shape, width), bindings: { weights, buffers, sizes }, results: [...buffers.values()] };
}

function opsOf({ heads, kvHeads, headDim, vocabulary, k, window }: Shape, width: number): Op[] {
  const caches = { kCache: 'k cache', vCache: 'v cache', heads, kvHeads, headDim };
  return [
    { kind: 'embed', table: 'table', out: 'x' },
    { kind: 'rms-norm', input: 'x', weight: 'norm', out: 'normed', width, eps: 1e-5, selectOutputs: false },
    {
      kind: 'matmul',
      input: 'normed',
      parts: [
        { weight: 'q', bias: null, out: 'q' },
        { weight: 'k', bias: null, out: 'k' },
        { weight: 'v', bias: 'v bias', out: 'v' },
      ],
      accumulate: false,
      outputs: false,
    },
    {
      kind: 'rope-kv-write',
      ...{ q: 'q', k: 'k', v: 'v', table: 'rope', qNorm: 'head norm', kNorm: 'head norm' },
      ...caches,
      ...{ ropeDim: headDim, neox: true, eps: 1e-6 },
    },
    { kind: 'attention', q: 'q', out: 'attended', scale: 1 / Math.sqrt(headDim), window, ...caches },
    {
      kind: 'matmul',
      input: 'attended',
      parts: [{ weight: 'o', bias: null, out: 'x' }],
      accumulate: true,
      outputs: false,
    },
    { kind: 'gated-matmul', input: 'x', gate: 'gate', up: 'up', out: 'gated', activation: 'silu' },
    { kind: 'rms-norm', input: 'gated', weight: 'norm', out: 'last', width, eps: 1e-5, selectOutputs: true },
    {
      kind: 'matmul',
      input: 'last',
      parts: [{ weight: 'table', bias: null, out: 'logits' }],
      accumulate: false,
      outputs: true,
    },
    { kind: 'top-k', input: 'logits', out: 'candidates', width: vocabulary, k },
  ];
}

/** `rows` tokens of each given slot from `position` on, with the candidates of every slot's last row. */
export function makeStep({ sizes, vocabulary }: Shape, slots: readonly number[], position: number, rows: number) {
  const step = new StepBuffer(sizes.maxRows, sizes.maxOutputs);
  for (const slot of slots) {
    let row = 0;
    for (let i = 0; i < rows; i++) row = step.addRow((7 * slot + 13 * (position + i)) % vocabulary, position + i, slot);
    step.addOutput(row, (slot + position) % vocabulary);
  }
  return step;
}
