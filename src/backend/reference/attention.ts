import type { AttentionOp } from '../ops.js';
import type { StepBuffer } from '../step.js';
import { f16ToNumber } from './f16.js';
import type { Views } from './memory.js';

/**
 * out[r][h] = softmax(q[r][h] . K * scale) V over the positions of the row's slot up to its own; with `window` over the last
 * `window` of them. Query heads share the key-value heads in groups of heads / kvHeads neighbours.
 */
export function* attention(op: AttentionOp, views: Views, step: StepBuffer): Generator<void> {
  const { heads, kvHeads, headDim, window } = op;
  const q = views.floats(op.q);
  const kCache = views.halves(op.kCache);
  const vCache = views.halves(op.vCache);
  const out = views.floats(op.out);
  for (let r = 0; r < step.rows; r++) {
    const { position, slot } = step.row(r);
    const first = window > 0 ? Math.max(0, position + 1 - window) : 0;
    const weights = new Float64Array(position + 1 - first);
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / (heads / kvHeads));
      const cells = ((slot * kvHeads + kvHead) * views.context + first) * headDim;
      const at = (r * heads + h) * headDim;
      for (let p = 0; p < weights.length; p++) {
        let score = 0;
        for (let i = 0; i < headDim; i++) score += q[at + i] * f16ToNumber(kCache[cells + p * headDim + i]);
        weights[p] = score * op.scale;
      }
      softmax(weights);
      const sums = new Float64Array(headDim);
      for (let p = 0; p < weights.length; p++) {
        for (let i = 0; i < headDim; i++) sums[i] += weights[p] * f16ToNumber(vCache[cells + p * headDim + i]);
      }
      out.set(sums, at);
      yield;
    }
  }
}

/** In place. The largest score is taken off first, so that no exponential overflows. */
function softmax(scores: Float64Array): void {
  const largest = scores.reduce((a, b) => Math.max(a, b));
  let sum = 0;
  for (let p = 0; p < scores.length; p++) {
    scores[p] = Math.exp(scores[p] - largest);
    sum += scores[p];
  }
  for (let p = 0; p < scores.length; p++) scores[p] /= sum;
}
