import type { RopeKvWriteOp } from '../ops.js';
import type { StepBuffer } from '../step.js';
import { numberToF16 } from './f16.js';
import type { Views } from './memory.js';
import { rmsFactor } from './rms-norm.js';

/** q and k: head norms where given, rotation by the row's position; then k and v into the row's place in the caches. */
export function* ropeKvWrite(op: RopeKvWriteOp, views: Views, step: StepBuffer): Generator<void> {
  const { heads, kvHeads, headDim, ropeDim } = op;
  const { context } = views;
  const q = views.floats(op.q);
  const k = views.floats(op.k);
  const v = views.floats(op.v);
  const kCache = views.halves(op.kCache);
  const vCache = views.halves(op.vCache);
  const table = views.floats(op.table);
  const qNorm = op.qNorm === null ? null : views.vector(op.qNorm);
  const kNorm = op.kNorm === null ? null : views.vector(op.kNorm);
  const head = new Float64Array(headDim);
  for (let r = 0; r < step.rows; r++) {
    const { position, slot } = step.row(r);
    const turns = table.subarray(position * ropeDim, (position + 1) * ropeDim);
    for (let h = 0; h < heads; h++) {
      const at = (r * heads + h) * headDim;
      head.set(q.subarray(at, at + headDim));
      normAndRotate(head, qNorm, turns, op);
      q.set(head, at);
    }
    for (let h = 0; h < kvHeads; h++) {
      const at = (r * kvHeads + h) * headDim;
      const cell = ((slot * kvHeads + h) * context + position) * headDim;
      head.set(k.subarray(at, at + headDim));
      normAndRotate(head, kNorm, turns, op);
      for (let i = 0; i < headDim; i++) {
        kCache[cell + i] = numberToF16(head[i]);
        vCache[cell + i] = numberToF16(v[at + i]);
      }
    }
    yield;
  }
}

/** `turns`: (cos, sin) of each pair. */
function normAndRotate(
  head: Float64Array,
  norm: Float32Array | null,
  turns: Float32Array,
  { ropeDim, neox, eps }: RopeKvWriteOp,
): void {
  if (norm) {
    const factor = rmsFactor(head, 0, head.length, eps);
    for (let i = 0; i < head.length; i++) head[i] *= factor * norm[i];
  }
  const pairs = ropeDim / 2;
  for (let pair = 0; pair < pairs; pair++) {
    const first = neox ? pair : 2 * pair;
    const second = neox ? pair + pairs : 2 * pair + 1;
    const x = head[first];
    const y = head[second];
    const cos = turns[2 * pair];
    const sin = turns[2 * pair + 1];
    head[first] = x * cos - y * sin;
    head[second] = x * sin + y * cos;
  }
}
