import { NtxError } from '../../../errors.js';
import type { Bindings } from '../../backend.js';
import type { TopKOp } from '../../ops.js';
import type { Binding, BindingSlot, DeviceFacts, Dispatch, KernelPlan } from '../kernel.js';
import { wgsl } from '../wgsl.js';
import { powerOfTwo, reduction, threadsFor } from './launch.js';

/** Logits of one workgroup of the first round: few enough to fill a GPU, many enough that few are left for the last. */
const CHUNK = 4096;
/** The kernel's histogram takes an invocation a bin. */
const BINS = 256;
const MAX_K = 1024;

/** Chunks choose their best, then one workgroup an output the best of those; one round where a chunk holds all. */
export function planTopK(op: TopKOp, bindings: Bindings, facts: DeviceFacts): KernelPlan {
  const { width, k } = op;
  if (k > MAX_K) {
    throw new NtxError('unsupported', `top-k: expected k of at most ${MAX_K}, got ${k}`, 'ask for fewer candidates');
  }
  const { maxRows, maxOutputs } = bindings.sizes;
  const chunks = Math.ceil(width / CHUNK);
  const logits: Binding = { range: bindings.buffers.get(op.input)!, access: 'read' };
  const out: Binding = { range: bindings.buffers.get(op.out)!, access: 'read-write' };
  const constants = { WIDTH: width, K: k, CHUNK, SORTED: powerOfTwo(k) };
  const dispatch = (part: string, files: readonly string[], items: number, slots: readonly BindingSlot[]): Dispatch => {
    const last = files.includes('top-k.result');
    const reduce = reduction(facts, Math.max(BINS, threadsFor(items / 8, facts, 1024)));
    return {
      label: `top-k ${k} of ${width}, ${part}`,
      code: `${reduce.code}\n${wgsl('top-k', ...files)}`,
      constants: { ...reduce.constants, ...constants, ...(last && { MAX_ROWS: maxRows }) },
      bindings: slots,
      groups: (outputs) => [last ? 1 : chunks, outputs, 1],
      weightBytes: 0,
    };
  };
  const dispatches =
    chunks === 1
      ? [dispatch('whole', ['top-k.logits', 'top-k.result'], width, [logits, null, 'step', out])]
      : [
          dispatch('chunks', ['top-k.logits', 'top-k.chunk'], CHUNK, [logits, 'scratch']),
          dispatch('result', ['top-k.chosen', 'top-k.result'], chunks * k, [logits, 'scratch-read', 'step', out]),
        ];
  return {
    over: 'outputs',
    variants: [{ maxRows: maxOutputs, dispatches }],
    scratchBytes: chunks === 1 ? 0 : maxOutputs * chunks * (k + 1) * 8,
  };
}
