import { GGML_TYPES, type GgmlType, TYPES } from '../../../src/gguf/types.js';
import { floats, type KernelCase, plainPass, poisoned, type Setup } from '../case.js';
import { Random } from '../random.js';
import { type Flavour, isQuant, randomWeight } from '../weights.js';
import { activations } from './matmul.js';

interface Shape {
  readonly gate: GgmlType;
  readonly up: GgmlType;
  readonly rows: number;
  readonly cols: number;
  readonly width: number;
  readonly flavour?: Flavour;
}

function gatedSetup(name: string, { gate, up, rows, cols, width, flavour }: Shape): Setup {
  const random = new Random(name);
  const sizes = { maxRows: rows + 2, maxOutputs: 1, slots: 1, context: 1024 };
  return {
    ops: [{ kind: 'gated-matmul', input: 'input', gate: 'gate', up: 'up', out: 'out', activation: 'silu' }],
    sizes,
    weights: {
      gate: randomWeight(random, gate, width, cols, flavour),
      up: randomWeight(random, up, width, cols, flavour),
    },
    buffers: { input: floats(activations(random, sizes.maxRows, cols)), out: poisoned(sizes.maxRows * width) },
    passes: [plainPass(rows)],
  };
}

const same: Shape[] = GGML_TYPES.flatMap((type) => {
  const block = isQuant(type) ? TYPES[type].blockWeights : 4;
  return [
    { gate: type, up: type, rows: 1, cols: 5 * block, width: 33 },
    { gate: type, up: type, rows: 2, cols: 512, width: 130 },
    { gate: type, up: type, rows: 17, cols: 3 * block, width: 67 },
    { gate: type, up: type, rows: 9, cols: 256, width: 14, flavour: 'extreme' as const },
  ];
});

const mixed: Shape[] = [
  { gate: 'Q4_K', up: 'Q6_K', rows: 3, cols: 512, width: 20 },
  { gate: 'Q8_0', up: 'F16', rows: 1, cols: 512, width: 20 },
  { gate: 'Q5_1', up: 'Q3_K', rows: 5, cols: 512, width: 20 },
];

export const gatedMatmulCases: readonly KernelCase[] = [...same, ...mixed].map((shape) => {
  const types = shape.gate === shape.up ? [shape.gate] : [shape.gate, shape.up];
  const what = shape.flavour === 'extreme' ? ', extreme blocks' : '';
  const name = `gated-matmul ${types.join('+')}: ${shape.rows} rows of ${shape.cols} to ${shape.width}${what}`;
  return { name, kind: 'gated-matmul', types, build: () => gatedSetup(name, shape) };
});
