// Mistakes that kernels make, as changes to what a right backend is given: it then gives what a wrong one would.
import { TYPES } from '../../src/gguf/types.js';
import type { QuantType } from './blocks.js';
import type { Setup } from './case.js';
import { isQuant, type TestWeight } from './weights.js';

type Bytes = readonly [at: number, length: number];

/** Where a block keeps what (ggml-common.h), for mistakes that misread it. */
const LAYOUTS: Record<QuantType, { codes: Bytes; high?: Bytes; scales?: Bytes; min?: Bytes }> = {
  Q4_0: { codes: [2, 16] },
  Q4_1: { codes: [4, 16], min: [2, 2] },
  Q5_0: { codes: [6, 16], high: [2, 4] },
  Q5_1: { codes: [8, 16], high: [4, 4], min: [2, 2] },
  Q8_0: { codes: [2, 32] },
  Q2_K: { codes: [16, 64], scales: [0, 16], min: [82, 2] },
  Q3_K: { codes: [32, 64], high: [0, 32], scales: [96, 12] },
  Q4_K: { codes: [16, 128], scales: [4, 12], min: [2, 2] },
  Q5_K: { codes: [48, 128], high: [16, 32], scales: [4, 12], min: [2, 2] },
  Q6_K: { codes: [0, 128], high: [128, 64], scales: [192, 16] },
};

/** Changes one block in place; `last` of its row or not. */
type BlockMistake = (block: Uint8Array, last: boolean) => void;

const part = (block: Uint8Array, [at, length]: Bytes) => block.subarray(at, at + length);

/** Each way to misread a block of the type. */
export function blockMistakes(type: QuantType): Record<string, BlockMistake> {
  const { codes, high, scales, min } = LAYOUTS[type];
  const shift = (bytes: Uint8Array) => bytes.set([...bytes.subarray(1), bytes[0]]);
  return {
    'nibbles swapped': (block) => {
      const bytes = part(block, codes);
      bytes.set(bytes.map((byte) => (byte >> 4) | (byte << 4)));
    },
    'codes one byte late': (block) => shift(part(block, codes)),
    'last block of a row left out': (block, last) => {
      if (last) block.fill(0);
    },
    ...(high && { 'high bits left out': (block: Uint8Array) => part(block, high).fill(0) }),
    ...(scales && { 'scales one byte late': (block: Uint8Array) => shift(part(block, scales)) }),
    ...(min && { 'min forgotten': (block: Uint8Array) => part(block, min).fill(0) }),
  };
}

/** All matrices of a type misread. */
export function misread(setup: Setup, type: QuantType, mistake: BlockMistake): Setup {
  const { blockWeights, blockBytes } = TYPES[type];
  const changed = (weight: TestWeight): TestWeight => {
    if (weight.type !== type) return weight;
    const bytes = weight.bytes.slice();
    const perRow = weight.cols / blockWeights;
    for (let b = 0; b < weight.rows * perRow; b++) {
      mistake(bytes.subarray(b * blockBytes, (b + 1) * blockBytes), b % perRow === perRow - 1);
    }
    return { ...weight, bytes };
  };
  const weights = Object.entries(setup.weights).map(([name, weight]) => [name, changed(weight)] as const);
  return { ...setup, weights: Object.fromEntries(weights) };
}

/** The input of a matmul as a kernel has it that rounds activations to 8 bits, in blocks of 32 or 256. */
export function roundedInput(setup: Setup, round: (code: number) => number): Setup {
  const [op] = setup.ops;
  if (op.kind !== 'matmul') throw new Error('expected a matmul');
  const { type } = setup.weights[op.parts[0].weight];
  const block = isQuant(type) ? TYPES[type].blockWeights : 1;
  const values = new Float32Array(setup.buffers[op.input].bytes.slice().buffer);
  for (let at = 0; at < values.length; at += block) {
    const some = values.subarray(at, at + block);
    const scale = some.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127;
    if (scale > 0) some.set(some.map((value) => round(value / scale) * scale));
  }
  return {
    ...setup,
    ops: [{ ...op, input: 'rounded' }],
    buffers: { ...setup.buffers, rounded: { element: 'f32', bytes: new Uint8Array(values.buffer) } },
  };
}

/** The last row (or output) of each pass is not computed. */
export function lastLeftOut(setup: Setup): Setup {
  const passes = setup.passes.map(({ rows, outputs }) =>
    outputs.length > 1 ? { rows, outputs: outputs.slice(0, -1) } : { rows: rows.slice(0, -1), outputs },
  );
  return { ...setup, passes };
}

export function positionsOff(setup: Setup, by: number): Setup {
  const passes = setup.passes.map(({ rows, outputs }) => ({
    rows: rows.map((row) => ({ ...row, position: row.position + by })),
    outputs,
  }));
  return { ...setup, passes };
}
