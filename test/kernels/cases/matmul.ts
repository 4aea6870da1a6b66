import type { MatmulPart } from '../../../src/backend/ops.js';
import { GGML_TYPES, type GgmlType, TYPES } from '../../../src/gguf/types.js';
import { floats, type KernelCase, type Pass, plainPass, poisoned, type Setup, type TestBuffer } from '../case.js';
import { Random } from '../random.js';
import { type Flavour, isQuant, randomWeight, type TestWeight, vectorWeight } from '../weights.js';

interface Part {
  readonly type: GgmlType;
  readonly rows: number;
  readonly bias: boolean;
}

interface Shape {
  readonly what: string;
  readonly rows: number;
  readonly cols: number;
  readonly parts: readonly Part[];
  readonly accumulate?: boolean;
  /** The step's outputs are the rows. */
  readonly outputs?: boolean;
  readonly flavour?: Flavour;
}

/**
 * Rows of activations, with what roundings to 8 bits stumble over: a row with one value that outweighs the others, a row
 * and blocks of zeros, constant and alternating rows (every code at its bound), very small and very large ones.
 */
export function activations(random: Random, rows: number, cols: number): Float32Array<ArrayBuffer> {
  const values = random.normals(rows * cols);
  for (let r = 0; r < rows; r++) {
    const row = values.subarray(r * cols, (r + 1) * cols);
    if (r % 8 === 1) row[random.integer(0, cols - 1)] = -12;
    if (r % 8 === 2) row.fill(0, 0, Math.min(cols, 32));
    if (r % 8 === 3) row.fill(r % 16 === 3 ? 1.5 : -0.75);
    if (r % 8 === 4) row.set(row.map((_, i) => (i % 2 ? -1 : 1)));
    if (r % 8 === 5) row.set(row.map((value) => value * 1e-18));
    if (r % 8 === 6) row.set(row.map((value) => value * 1e4));
    if (r % 16 === 7) row.fill(0);
  }
  return values;
}

function matmulSetup(name: string, shape: Shape): Setup {
  const random = new Random(name);
  const { rows, cols, accumulate = false, outputs = false } = shape;
  // Outputs and rows differ in number, so that taking one for the other shows.
  const pass: Pass = outputs
    ? { rows: plainPass(rows + 3).rows, outputs: Array.from({ length: rows }, (_, o) => ({ row: o, target: null })) }
    : { ...plainPass(rows), outputs: [{ row: 0, target: null }] };
  const sizes = { maxRows: pass.rows.length + 2, maxOutputs: pass.outputs.length + 2, slots: 1, context: 1024 };
  const capacity = outputs ? sizes.maxOutputs : sizes.maxRows;
  const weights: Record<string, TestWeight> = {};
  const buffers: Record<string, TestBuffer> = { input: floats(activations(random, capacity, cols)) };
  const parts = shape.parts.map((part, index): MatmulPart => {
    const bias = part.bias ? `bias ${index}` : null;
    weights[`weight ${index}`] = randomWeight(random, part.type, part.rows, cols, shape.flavour);
    if (bias) weights[bias] = vectorWeight(random.normals(part.rows, 3));
    const words = capacity * part.rows;
    buffers[`out ${index}`] = accumulate ? floats(random.normals(words, 2)) : poisoned(words);
    return { weight: `weight ${index}`, bias, out: `out ${index}` };
  });
  return {
    ops: [{ kind: 'matmul', input: 'input', parts, accumulate, outputs }],
    sizes,
    weights,
    buffers,
    passes: [pass],
  };
}

function matmulCase(shape: Shape): KernelCase {
  const types = shape.parts.map((part) => part.type);
  const name = `matmul ${[...new Set(types)].join('+')}: ${shape.what}`;
  return { name, kind: 'matmul', types, build: () => matmulSetup(name, shape) };
}

function casesOf(type: GgmlType): Shape[] {
  const block = isQuant(type) ? TYPES[type].blockWeights : 4;
  const part = (rows: number, bias = false): Part => ({ type, rows, bias });
  return [
    { what: '1 row, one block', rows: 1, cols: block, parts: [part(7)] },
    { what: '2 rows, 3 blocks, bias', rows: 2, cols: 3 * block, parts: [part(33, true)] },
    {
      what: '3 rows, 11 blocks, two accumulated',
      rows: 3,
      cols: 11 * block,
      parts: [part(16), part(5)],
      accumulate: true,
    },
    { what: '7 rows, three with biases', rows: 7, cols: 512, parts: [part(64, true), part(17), part(1, true)] },
    { what: '16 outputs', rows: 16, cols: 1024, parts: [part(65)], outputs: true },
    { what: '33 rows, bias, accumulated', rows: 33, cols: 768, parts: [part(130, true)], accumulate: true },
    { what: '1 row, long', rows: 1, cols: 4096, parts: [part(24)] },
    { what: '1 row, tall', rows: 1, cols: 256, parts: [part(1100)] },
    { what: '515 rows', rows: 515, cols: 256, parts: [part(9)] },
    { what: 'extreme blocks, 1 row', rows: 1, cols: 512, parts: [part(21)], flavour: 'extreme' },
    { what: 'extreme blocks, 9 rows', rows: 9, cols: 512, parts: [part(21)], flavour: 'extreme' },
  ];
}

const MIXED: readonly (readonly GgmlType[])[] = [
  ['Q4_K', 'Q4_K', 'Q6_K'],
  ['Q8_0', 'Q5_0', 'Q4_0'],
  ['Q3_K', 'Q5_K', 'F16'],
  ['F32', 'BF16', 'Q2_K'],
  ['Q4_1', 'Q5_1', 'Q6_K'],
];

const mixed = MIXED.flatMap((types) =>
  [1, 5].map((rows) => ({
    what: `of one input, ${rows} rows`,
    rows,
    cols: 512,
    parts: types.map((type, index) => ({ type, rows: 40 + index, bias: index !== 1 })),
  })),
);

/** Rows that are not whole blocks of 32 exist in F32, F16 and BF16 files only. */
const uneven: Shape[] = [
  { what: '172 columns', rows: 3, cols: 172, parts: [{ type: 'F32', rows: 10, bias: false }] },
  { what: '33 columns', rows: 5, cols: 33, parts: [{ type: 'F32', rows: 9, bias: true }] },
  { what: '1 column', rows: 2, cols: 1, parts: [{ type: 'F32', rows: 3, bias: false }] },
  { what: '172 columns', rows: 3, cols: 172, parts: [{ type: 'F16', rows: 10, bias: false }] },
  { what: '50 columns', rows: 5, cols: 50, parts: [{ type: 'F16', rows: 9, bias: true }] },
  { what: '50 columns', rows: 5, cols: 50, parts: [{ type: 'BF16', rows: 9, bias: true }] },
];

const noOutputs: Shape[] = (['F32', 'Q8_0', 'Q4_K'] as const).map((type) => ({
  what: 'no outputs',
  rows: 0,
  cols: 256,
  parts: [{ type, rows: 12, bias: true }],
  outputs: true,
}));

export const matmulCases: readonly KernelCase[] = [
  ...GGML_TYPES.flatMap(casesOf),
  ...mixed,
  ...uneven,
  ...noOutputs,
].map(matmulCase);
