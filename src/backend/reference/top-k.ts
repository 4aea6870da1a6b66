import type { TopKOp } from '../ops.js';
import { outputBytes } from '../outputs.js';
import type { StepBuffer } from '../step.js';
import type { Views } from './memory.js';

/** The k largest logits of each output, descending, ties by the lower token, with the log-sum-exp (outputs.ts: layout). */
export function* topK(op: TopKOp, views: Views, step: StepBuffer): Generator<void> {
  const input = views.floats(op.input);
  const floats = views.floats(op.out);
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  for (let o = 0; o < step.outputs; o++) {
    const logits = input.subarray(o * op.width, (o + 1) * op.width);
    const tokens = largest(logits, op.k);
    const { target } = step.output(o);
    const at = (o * outputBytes(op.k)) / 4;
    floats[at] = logSumExp(logits);
    floats[at + 1] = target === null ? 0 : logits[target];
    words[at + 2] = tokens.length;
    words[at + 3] = 0;
    tokens.forEach((token, i) => {
      words[at + 4 + 2 * i] = token;
      floats[at + 5 + 2 * i] = logits[token];
    });
    yield;
  }
}

/** The tokens of the `count` largest logits in order: each token is put behind all that are as large or larger. */
function largest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token];
    if (best.length === count && !(logit > logits[best[count - 1]])) continue;
    let low = 0;
    let high = best.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (logits[best[middle]] >= logit) low = middle + 1;
      else high = middle;
    }
    if (best.length === count) best.pop();
    best.splice(low, 0, token);
  }
  return best;
}

/** ln(sum(exp(logit))) */
function logSumExp(logits: Float32Array): number {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return largest + Math.log(sum);
}
