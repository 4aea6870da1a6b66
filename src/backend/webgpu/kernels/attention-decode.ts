// Attention of single rows to not too many positions (kernels/wgsl/attention.decode.wgsl), with rope-kv-write where it can.
import type { Bindings, DeviceRange } from '../../backend.js';
import type { AttentionOp, RopeKvWriteOp } from '../../ops.js';
import type { BindingSlot, DeviceFacts, Dispatch } from '../kernel.js';
import { wgsl } from '../wgsl.js';
import { fixedLanes, isSoftware, powerOfTwo } from './launch.js';

/** Up to so many positions a workgroup reads all of a head's by itself; beyond, several share them and one more merges. */
export const DECODE_POSITIONS = 2048;
const MOST_THREADS = 512;
/** Bindings of storage without and with the norms of q and k. */
const ROTATE_BUFFERS = 8;
const NORMED_ROTATE_BUFFERS = 10;

/** A worker's lanes, 8 dimensions each, must lie in one subgroup and reduce by doubling strides. */
export function canDecode({ headDim }: AttentionOp, facts: DeviceFacts): boolean {
  const lanes = headDim / 8;
  if (!Number.isInteger(lanes) || powerOfTwo(lanes) !== lanes || lanes > fixedLanes(facts)) return false;
  const threads = decodeThreads(headDim, facts);
  return threads >= headDim && workgroupBytes(headDim, threads) <= facts.limits.maxComputeWorkgroupStorageSize;
}

/** The kernel can do this rope-kv-write, whose outcome the attention reads. */
export function canRotate(rope: RopeKvWriteOp, op: AttentionOp, { buffers }: Bindings, facts: DeviceFacts): boolean {
  // Software takes ten seconds to compile it, and nothing for a dispatch.
  if (!canDecode(op, facts) || isSoftware(facts)) return false;
  const norms = Number(rope.qNorm !== null) + Number(rope.kNorm !== null);
  if (norms === 1) return false;
  const needed = norms === 0 ? ROTATE_BUFFERS : NORMED_ROTATE_BUFFERS;
  // The caches are written here: nothing else that is bound may be of their memory.
  const caches = [rope.kCache, rope.vCache].map((name) => buffers.get(name)!.memory);
  const read = [rope.q, rope.k, rope.v, rope.table].map((name) => buffers.get(name)!.memory);
  return needed <= facts.limits.maxStorageBuffersPerShaderStage && read.every((memory) => !caches.includes(memory));
}

export function decodeDispatch(
  op: AttentionOp,
  rotation: RopeKvWriteOp | null,
  common: {
    readonly constants: Readonly<Record<string, number>>;
    readonly out: DeviceRange;
    readonly coded: boolean;
    /** Passes of one row have a dispatch with the rotation. */
    readonly rotated?: boolean;
  },
  bindings: Bindings,
  facts: DeviceFacts,
): Dispatch {
  const { heads, kvHeads, headDim } = op;
  const { constants, out, coded, rotated = false } = common;
  const buffer = (name: string, access: 'read' | 'read-write'): BindingSlot => ({
    range: bindings.buffers.get(name)!,
    access,
  });
  const norm = (name: string | null): BindingSlot =>
    name === null ? null : { range: bindings.weights.get(name)!.range, access: 'read' };
  const caches = rotation ? 'read-write' : 'read';
  const slots: BindingSlot[] = [
    'step',
    buffer(op.q, 'read'),
    buffer(op.kCache, caches),
    buffer(op.vCache, caches),
    { range: out, access: 'read-write' },
    ...(rotation ? [rotation.k, rotation.v, rotation.table].map((name) => buffer(name, 'read')) : []),
    ...(rotation ? [norm(rotation.qNorm), norm(rotation.kNorm)] : []),
  ];
  const rotating = rotation?.qNorm ? ['attention.decode.norms'] : ['attention.decode.no-norms'];
  return {
    label: `${rotation ? 'rope-kv-write and ' : ''}attention ${heads}/${kvHeads} x ${headDim}, single rows`,
    code: wgsl(
      'reduce.subgroups',
      'attention',
      'half-bits',
      'attention.decode',
      ...(rotation ? ['attention.decode.rotate', ...rotating] : ['attention.decode.rows']),
      ...outText(coded),
    ),
    constants: {
      ...constants,
      ...(coded && { CODED_WIDTH: heads * headDim }),
      THREADS: decodeThreads(headDim, facts),
      LANES: fixedLanes(facts),
      ...(rotation && { ROPE_DIM: rotation.ropeDim, NEOX: Number(rotation.neox), EPS: rotation.eps }),
    },
    bindings: slots,
    groups: (rows, positions) => {
      const together = rotatesTogether(rows, positions);
      const runs = rotation ? together : reached(op, positions) <= DECODE_POSITIONS && !(rotated && together);
      return runs ? [heads, rows, 1] : [0, 0, 0];
    },
    weightBytes: 0,
  };
}

/** Whether attention does rope-kv-write's work, where the two follow each other. */
export function rotatesTogether(rows: number, positions: number): boolean {
  return rows === 1 && positions <= DECODE_POSITIONS;
}

/** What `put` and `hand_on` are. */
export function outText(coded: boolean): string[] {
  return coded ? ['attention.codes', 'code-rows.write', 'code-rows.subgroups'] : ['attention.values'];
}

/** Positions that a row attends to, at most. */
export function reached({ window }: AttentionOp, positions: number): number {
  return window > 0 ? Math.min(window, positions) : positions;
}

function decodeThreads(headDim: number, { limits }: DeviceFacts): number {
  const most = Math.min(MOST_THREADS, limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
  const wanted = 2 ** Math.floor(Math.log2(most));
  return workgroupBytes(headDim, wanted) <= limits.maxComputeWorkgroupStorageSize ? wanted : wanted / 2;
}

function workgroupBytes(headDim: number, threads: number): number {
  const workers = threads / (headDim / 8);
  // Sums, shares; query, keys, codes' values and squares, fresh chunks; the reduction.
  return 4 * (workers * (headDim + 3) + 5 * headDim + 5 * threads);
}
