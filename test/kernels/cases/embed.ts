import { GGML_TYPES, type GgmlType, TYPES } from '../../../src/gguf/types.js';
import { type KernelCase, poisoned, type Setup } from '../case.js';
import { Random } from '../random.js';
import { type Flavour, isQuant, randomWeight } from '../weights.js';

const TABLE_ROWS = 70;

function embedSetup(name: string, type: GgmlType, rows: number, cols: number, flavour: Flavour): Setup {
  const random = new Random(name);
  const sizes = { maxRows: rows + 1, maxOutputs: 1, slots: 1, context: 1024 };
  // The first and the last token of the table, one twice, others at random.
  const tokens = [0, TABLE_ROWS - 1, 3, 3, ...Array.from({ length: rows }, () => random.integer(0, TABLE_ROWS - 1))];
  const offset = rows === 1 ? 1 : 0;
  return {
    ops: [{ kind: 'embed', table: 'table', out: 'out' }],
    sizes,
    weights: { table: randomWeight(random, type, TABLE_ROWS, cols, flavour) },
    buffers: { out: poisoned(sizes.maxRows * cols) },
    passes: [
      {
        rows: Array.from({ length: rows }, (_, r) => ({ token: tokens[r + offset], position: r, slot: 0 })),
        outputs: [],
      },
    ],
  };
}

export const embedCases: readonly KernelCase[] = GGML_TYPES.flatMap((type) => {
  const block = isQuant(type) ? TYPES[type].blockWeights : 4;
  const one = (rows: number, cols: number, flavour: Flavour): KernelCase => {
    const name = `embed ${type}: ${rows} rows of ${cols}, ${flavour} blocks`;
    return { name, kind: 'embed', types: [type], build: () => embedSetup(name, type, rows, cols, flavour) };
  };
  return [one(1, block, 'usual'), one(7, 3 * block, 'usual'), one(33, 2 * block, 'extreme')];
});
