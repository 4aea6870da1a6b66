import { NtxError } from '../../../errors.js';
import type { Bindings, DeviceRange } from '../../backend.js';
import type { RopeKvWriteOp } from '../../ops.js';
import type { OpFlow } from '../flow.js';
import type { Binding, BindingSlot, DeviceFacts, Dispatch, KernelPlan } from '../kernel.js';
import { wgsl } from '../wgsl.js';
import { rotatesTogether } from './attention-decode.js';
import { reduction, threadsFor } from './launch.js';

/** Storage buffers of the kernel that does it all; devices with fewer run its two halves. */
const STORAGE_BUFFERS = 9;

/** A workgroup takes one head of q, k or v of one row. */
export function planRopeKvWrite(op: RopeKvWriteOp, bindings: Bindings, facts: DeviceFacts, flow: OpFlow): KernelPlan {
  const { heads, kvHeads, headDim, ropeDim, neox } = op;
  if (headDim % 2 !== 0) {
    const message = `heads have ${headDim} values; the cache keeps pairs of halves in words`;
    throw new NtxError('unsupported', message, 'choose --backend cpu');
  }
  const reduce = reduction(facts, threadsFor(headDim / 2, facts, 256));
  const constants = {
    ...reduce.constants,
    ...{ HEADS: heads, KV_HEADS: kvHeads, HEAD_DIM: headDim, ROPE_DIM: ropeDim, NEOX: Number(neox) },
    ...{ EPS: op.eps, CONTEXT: bindings.sizes.context },
  };
  const qConstants = { Q_NORM: Number(op.qNorm !== null) };
  const kvConstants = { K_NORM: Number(op.kNorm !== null) };
  const dispatch = (
    parts: string,
    files: readonly string[],
    own: Record<string, number>,
    slots: readonly BindingSlot[],
    width: number,
  ): Dispatch => ({
    label: `rope-kv-write ${parts} ${heads}/${kvHeads} x ${headDim}`,
    code: `${reduce.code}\n${wgsl('half-bits', 'rope-kv-write', ...files)}`,
    constants: { ...constants, ...own },
    bindings: slots,
    groups: (rows, positions) =>
      flow.done === 'single' && rotatesTogether(rows, positions) ? [0, 0, 0] : [width, rows, 1],
    weightBytes: 0,
  });
  const { shared, q, kv } = slotsOf(op, bindings);
  const whole = [
    dispatch(
      'q, k, v',
      ['rope-kv-write.q', 'rope-kv-write.kv', 'rope-kv-write.main'],
      { ...qConstants, ...kvConstants },
      [...shared, ...q, ...kv],
      heads + 2 * kvHeads,
    ),
  ];
  const halves = () => [
    dispatch('q', ['rope-kv-write.q', 'rope-kv-write.q-main'], qConstants, [...shared, ...q], heads),
    dispatch(
      'k, v',
      ['rope-kv-write.kv', 'rope-kv-write.kv-main'],
      kvConstants,
      [...shared, null, null, ...kv],
      2 * kvHeads,
    ),
  ];
  const fits = facts.limits.maxStorageBuffersPerShaderStage >= STORAGE_BUFFERS;
  return {
    over: 'rows',
    scratchBytes: 0,
    variants: [{ maxRows: bindings.sizes.maxRows, dispatches: fits ? whole : halves() }],
  };
}

function slotsOf(op: RopeKvWriteOp, { buffers, weights }: Bindings) {
  const read = (range: DeviceRange): Binding => ({ range, access: 'read' });
  const write = (name: string): Binding => ({ range: buffers.get(name)!, access: 'read-write' });
  const table = read(buffers.get(op.table)!);
  // Something has to be bound where there is no norm.
  const norm = (name: string | null) => (name === null ? table : read(weights.get(name)!.range));
  return {
    shared: ['step', table] as const,
    q: [write(op.q), norm(op.qNorm)],
    kv: [read(buffers.get(op.k)!), read(buffers.get(op.v)!), write(op.kCache), write(op.vCache), norm(op.kNorm)],
  };
}
