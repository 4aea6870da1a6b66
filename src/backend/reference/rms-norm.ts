import type { RmsNormOp } from '../ops.js';
import type { StepBuffer } from '../step.js';
import type { Views } from './memory.js';

/** out[r] = input[r'] / sqrt(mean(input[r']^2) + eps) * weight; r' = r, or the row of output r with selectOutputs. */
export function* rmsNorm(op: RmsNormOp, views: Views, step: StepBuffer): Generator<void> {
  const input = views.floats(op.input);
  const weight = views.vector(op.weight);
  const out = views.floats(op.out);
  const rows = op.selectOutputs ? step.outputs : step.rows;
  for (let r = 0; r < rows; r++) {
    const from = (op.selectOutputs ? step.output(r).row : r) * op.width;
    const factor = rmsFactor(input, from, op.width, op.eps);
    for (let i = 0; i < op.width; i++) out[r * op.width + i] = input[from + i] * factor * weight[i];
    yield;
  }
}

/** 1 / sqrt(mean(values^2) + eps) over values[at .. at + width) */
export function rmsFactor(values: ArrayLike<number>, at: number, width: number, eps: number): number {
  let squares = 0;
  for (let i = at; i < at + width; i++) squares += values[i] * values[i];
  return 1 / Math.sqrt(squares / width + eps);
}
