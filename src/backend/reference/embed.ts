import type { EmbedOp } from '../ops.js';
import type { StepBuffer } from '../step.js';
import { decodeRow } from './dequantize/dequantize.js';
import type { Views } from './memory.js';

/** out[r] = decode(table[token[r]]) */
export function* embed(op: EmbedOp, views: Views, step: StepBuffer): Generator<void> {
  const table = views.table(op.table);
  const out = views.floats(op.out);
  const values = new Float64Array(table.cols);
  for (let r = 0; r < step.rows; r++) {
    decodeRow(table, step.row(r).token, values);
    out.set(values, r * table.cols);
    yield;
  }
}
