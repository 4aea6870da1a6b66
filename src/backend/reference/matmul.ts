import type { MatmulOp } from '../ops.js';
import type { StepBuffer } from '../step.js';
import { decodeRow } from './dequantize/dequantize.js';
import type { Views } from './memory.js';

/** out[r][n] (+)= sum_k input[r][k] * weight[n][k] + bias[n]. Each weight row is decoded once a pass, and forgotten. */
export function* matmul(op: MatmulOp, views: Views, step: StepBuffer): Generator<void> {
  const input = views.floats(op.input);
  const rows = op.outputs ? step.outputs : step.rows;
  for (const part of op.parts) {
    const matrix = views.matrix(part.weight);
    const bias = part.bias === null ? null : views.vector(part.bias);
    const out = views.floats(part.out);
    const weights = new Float64Array(matrix.cols);
    for (let n = 0; rows > 0 && n < matrix.rows; n++) {
      decodeRow(matrix, n, weights);
      for (let r = 0; r < rows; r++) {
        const value = dot(weights, input, r * matrix.cols) + (bias ? bias[n] : 0);
        const at = r * matrix.rows + n;
        out[at] = op.accumulate ? out[at] + value : value;
      }
      yield;
    }
  }
}

/** weights . input[at .. at + weights.length). Four sums, because one would wait for every addition to end. */
export function dot(weights: Float64Array, input: Float32Array, at: number): number {
  const whole = weights.length & ~3;
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  for (let k = 0; k < whole; k += 4) {
    sum0 += weights[k] * input[at + k];
    sum1 += weights[k + 1] * input[at + k + 1];
    sum2 += weights[k + 2] * input[at + k + 2];
    sum3 += weights[k + 3] * input[at + k + 3];
  }
  for (let k = whole; k < weights.length; k++) sum0 += weights[k] * input[at + k];
  return sum0 + sum1 + (sum2 + sum3);
}
