import type { GatedMatmulOp } from '../ops.js';
import type { StepBuffer } from '../step.js';
import { decodeRow } from './dequantize/dequantize.js';
import { dot } from './matmul.js';
import type { Views } from './memory.js';

/** out[r][n] = silu(input[r] . gate[n]) * (input[r] . up[n]) */
export function* gatedMatmul(op: GatedMatmulOp, views: Views, step: StepBuffer): Generator<void> {
  const input = views.floats(op.input);
  const gate = views.matrix(op.gate);
  const up = views.matrix(op.up);
  const out = views.floats(op.out);
  const gateWeights = new Float64Array(gate.cols);
  const upWeights = new Float64Array(up.cols);
  for (let n = 0; n < gate.rows; n++) {
    decodeRow(gate, n, gateWeights);
    decodeRow(up, n, upWeights);
    for (let r = 0; r < step.rows; r++) {
      const at = r * gate.cols;
      out[r * gate.rows + n] = silu(dot(gateWeights, input, at)) * dot(upWeights, input, at);
    }
    yield;
  }
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}
