import { floats, type KernelCase, plainPass, poisoned, type Setup } from '../case.js';
import { Random } from '../random.js';
import { vectorWeight } from '../weights.js';

interface Shape {
  readonly rows: number;
  readonly width: number;
  readonly eps: number;
  /** Rows of the step whose outputs are wanted, in the outputs' order; null: all rows, no selection. */
  readonly selected: readonly number[] | null;
}

function rmsNormSetup(name: string, { rows, width, eps, selected }: Shape): Setup {
  const random = new Random(name);
  const sizes = { maxRows: rows + 1, maxOutputs: (selected?.length ?? 0) + 2, slots: 1, context: 1024 };
  const input = random.normals(sizes.maxRows * width, 2);
  // Small rows are where eps shows, and a row of zeros is where its absence does.
  for (let r = 1; r < rows; r++) {
    const factor = [1, 1e-3, 0, 300][r % 4];
    const row = input.subarray(r * width, (r + 1) * width);
    row.set(row.map((value) => value * factor));
  }
  const select = selected !== null;
  return {
    ops: [{ kind: 'rms-norm', input: 'input', weight: 'weight', out: 'out', width, eps, selectOutputs: select }],
    sizes,
    weights: { weight: vectorWeight(random.normals(width)) },
    buffers: { input: floats(input), out: poisoned((select ? sizes.maxOutputs : sizes.maxRows) * width) },
    passes: [{ rows: plainPass(rows).rows, outputs: (selected ?? []).map((row) => ({ row, target: null })) }],
  };
}

const shapes: Shape[] = [
  ...[1, 4, 64, 172, 255, 288, 2048, 4099].map((width) => ({ rows: 1, width, eps: 1e-5, selected: null })),
  ...[2, 3, 7, 16, 33].map((rows) => ({ rows, width: 96, eps: 1e-6, selected: null })),
  { rows: 5, width: 4096, eps: 1e-5, selected: null },
  { rows: 4, width: 64, eps: 0.1, selected: null },
  { rows: 8, width: 128, eps: 1e-5, selected: [7] },
  { rows: 16, width: 288, eps: 1e-5, selected: [15, 0, 4, 4, 9] },
  { rows: 3, width: 128, eps: 1e-5, selected: [0, 1, 2, 2, 1, 0] },
  { rows: 3, width: 128, eps: 1e-5, selected: [] },
];

export const rmsNormCases: readonly KernelCase[] = shapes.map((shape) => {
  const what = shape.selected === null ? `${shape.rows} rows` : `outputs [${shape.selected}] of ${shape.rows} rows`;
  const name = `rms-norm ${what} of ${shape.width}, eps ${shape.eps}`;
  return { name, kind: 'rms-norm', types: [], build: () => rmsNormSetup(name, shape) };
});
