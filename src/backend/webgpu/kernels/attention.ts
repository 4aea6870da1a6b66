import { NtxError } from '../../../errors.js';
import type { Bindings, PassSizes } from '../../backend.js';
import type { AttentionOp } from '../../ops.js';
import { NO_FLOW, type OpFlow } from '../flow.js';
import type { Binding, DeviceFacts, Dispatch, KernelPlan, Variant } from '../kernel.js';
import { wgsl } from '../wgsl.js';
import { canDecode, DECODE_POSITIONS, decodeDispatch, outText, reached } from './attention-decode.js';
import { fixedLanes, isSoftware, powerOfTwo } from './launch.js';

/** Up to so many rows of a pass each read their positions by themselves, as rows of different sequences must. */
const FEW_ROWS = 16;
/** Workgroups that fill a large GPU: positions are split until there are as many. */
const WORKGROUPS = 512;
const MAX_SPLITS = 64;
/** So many positions one workgroup takes at once: with fewer, splitting would cost more than it saves. */
const DIRECT_POSITIONS = 256;
/** Query heads that share what a workgroup reads of the caches; the kernel's registers hold as many sums. */
const MAX_TAKEN = 4;
/** Values of the widest heads that passes of many rows take in tiles; those of up to so many fit into any device's workgroup. */
const MOST_TILE_DIM = 256;
/** Four dimensions an invocation, in workgroups of 256. */
const MOST_HEAD_DIM = 1024;
const F32_BYTES = 4;
const VECTOR_BYTES = 16;

export function planAttention(op: AttentionOp, bindings: Bindings, facts: DeviceFacts, flow: OpFlow): KernelPlan {
  if (op.headDim % 8 !== 0 || op.headDim > MOST_HEAD_DIM) {
    const message = `heads have ${op.headDim} values; the kernels take multiples of 8 up to ${MOST_HEAD_DIM}`;
    throw new NtxError('unsupported', message, 'choose --backend cpu');
  }
  const { maxRows } = bindings.sizes;
  const tiles = planTiles(op, bindings, facts);
  const few = planRows(op, bindings, facts, flow, Math.min(FEW_ROWS, maxRows));
  if (maxRows <= FEW_ROWS) return { over: 'rows', variants: [few.variant], scratchBytes: few.scratchBytes };
  if (tiles) return { over: 'rows', variants: [few.variant, tiles], scratchBytes: few.scratchBytes };
  const many = planRows(op, bindings, facts, NO_FLOW, maxRows);
  return { over: 'rows', variants: [few.variant, many.variant], scratchBytes: many.scratchBytes };
}

function constantsOf(op: AttentionOp, { sizes }: Bindings, facts: DeviceFacts) {
  const { heads, kvHeads, headDim, scale, window } = op;
  return {
    ...{ HEADS: heads, KV_HEADS: kvHeads, HEAD_DIM: headDim },
    ...{ SCALE: scale, WINDOW: window, CONTEXT: sizes.context, ROLLED: Number(isSoftware(facts)) },
  };
}

function operands(op: AttentionOp, { buffers }: Bindings) {
  const read = (name: string): Binding => ({ range: buffers.get(name)!, access: 'read' });
  const out: Binding = { range: buffers.get(op.out)!, access: 'read-write' };
  return { reads: [read(op.q), read(op.kCache), read(op.vCache)], out };
}

/** How many positions and query heads a workgroup takes at a time. */
interface RowsShape {
  readonly threads: number;
  readonly taken: number;
  /** Workgroups that share a key-value head. */
  readonly parts: number;
}

/**
 * Short contexts: a workgroup for each row and query head takes all positions. Longer ones: a workgroup for each row, key-value
 * head and split of the positions, whose query heads share what it reads; a merge puts the splits together.
 */
function planRows(
  op: AttentionOp,
  bindings: Bindings,
  facts: DeviceFacts,
  { rotation, output }: OpFlow,
  maxRows: number,
): { variant: Variant; scratchBytes: number } {
  const { heads, kvHeads, headDim } = op;
  const decodes = canDecode(op, facts);
  const split = splitShape(op, facts);
  const whole = decodes ? DECODE_POSITIONS : DIRECT_POSITIONS;
  const splits = (rows: number, positions: number) => splitsOf(op, split, whole, rows, positions);
  const out = bindings.buffers.get(op.out)!;
  const common = { constants: constantsOf(op, bindings, facts), out, coded: output !== null };
  const alone = decodes
    ? [
        ...(rotation ? [decodeDispatch(op, rotation, common, bindings, facts)] : []),
        decodeDispatch(op, null, { ...common, rotated: rotation !== null }, bindings, facts),
      ]
    : [
        rowsDispatch(
          op,
          bindings,
          facts,
          { threads: DIRECT_POSITIONS, taken: 1, parts: heads / kvHeads },
          splits,
          true,
        ),
      ];
  const merge: Dispatch = {
    label: `attention ${heads}/${kvHeads} x ${headDim}, merge`,
    code: wgsl(...(common.coded ? ['subgroups'] : []), 'attention.splits', 'attention.merge', ...outText(common.coded)),
    constants: {
      HEADS: heads,
      HEAD_DIM: headDim,
      THREADS: Math.max(32, powerOfTwo(headDim / 4)),
      ...(common.coded && { CODED_WIDTH: heads * headDim }),
    },
    bindings: ['scratch-read', null, null, null, { range: out, access: 'read-write' }],
    groups: (rows, positions) => (splits(rows, positions) === 1 ? [0, 0, 0] : [heads, rows, 1]),
    weightBytes: 0,
  };
  return {
    variant: { maxRows, dispatches: [...alone, rowsDispatch(op, bindings, facts, split, splits, false), merge] },
    scratchBytes: partsBytes(op, split, whole, maxRows, bindings.sizes.context),
  };
}

/** Splits of the positions of a pass. `whole`: so many are not split. */
function splitsOf(
  op: AttentionOp,
  { threads, parts }: Pick<RowsShape, 'threads' | 'parts'>,
  whole: number,
  rows: number,
  positions: number,
): number {
  const count = reached(op, positions);
  if (count <= whole) return 1;
  const wanted = Math.ceil(WORKGROUPS / (rows * op.kvHeads * parts));
  return Math.min(Math.max(2, wanted), Math.ceil(count / threads), MAX_SPLITS);
}

/** Scratch of the parts of a pass of any number of rows up to `maxRows`. */
function partsBytes(
  op: AttentionOp,
  shape: Pick<RowsShape, 'threads' | 'parts'>,
  whole: number,
  maxRows: number,
  context: number,
): number {
  let most = 0;
  for (let rows = 1; rows <= maxRows; rows++) {
    most = Math.max(most, rows * op.heads * splitsOf(op, shape, whole, rows, context));
  }
  return VECTOR_BYTES + most * (op.headDim / 4 + 1) * VECTOR_BYTES;
}

/** Scratch on any device, at most: with the smallest shape that a device may take. */
export function mostAttentionBytes(op: AttentionOp, { maxRows, context }: PassSizes): number {
  const rows = op.headDim > MOST_TILE_DIM ? maxRows : Math.min(FEW_ROWS, maxRows);
  return partsBytes(op, { threads: 128, parts: 1 }, DIRECT_POSITIONS, rows, context);
}

/** A workgroup takes one split; `direct`: there is one. */
function rowsDispatch(
  op: AttentionOp,
  bindings: Bindings,
  facts: DeviceFacts,
  { threads, taken, parts }: RowsShape,
  splits: (rows: number, positions: number) => number,
  direct: boolean,
): Dispatch {
  const { reads, out } = operands(op, bindings);
  const reduce = reductionOf(facts, threads);
  return {
    label: `attention ${op.heads}/${op.kvHeads} x ${op.headDim}, ${direct ? 'whole' : 'split'}`,
    code: `${reduce.code}\n${wgsl('attention', 'attention.splits', 'attention.rows')}`,
    constants: { ...constantsOf(op, bindings, facts), ...reduce.constants, TAKEN: taken, DIRECT: Number(direct) },
    bindings: ['step', ...reads, direct ? out : 'scratch'],
    groups: (rows, positions) => {
      const count = splits(rows, positions);
      return (count === 1) === direct ? [count, op.kvHeads * parts, rows] : [0, 0, 0];
    },
    weightBytes: 0,
  };
}

function splitShape({ heads, kvHeads, headDim }: AttentionOp, { limits }: DeviceFacts): RowsShape {
  const group = heads / kvHeads;
  // A vector of four dimensions has an invocation at the end.
  const threads = headDim > 512 ? 256 : 128;
  const bytes = (taken: number) => taken * (headDim + 3 * threads) * F32_BYTES + threads * 2 * VECTOR_BYTES;
  let most = Math.min(MAX_TAKEN, group);
  while (most > 1 && bytes(most) > limits.maxComputeWorkgroupStorageSize) most--;
  const parts = Math.ceil(group / most);
  return { threads, taken: Math.ceil(group / parts), parts };
}

/** Maxima and sums for several heads at once: through subgroups where all have one size. */
function reductionOf(facts: DeviceFacts, threads: number) {
  const lanes = fixedLanes(facts);
  return lanes > 0 && threads % lanes === 0
    ? { code: wgsl('attention.reduce.subgroups'), constants: { THREADS: threads, LANES: lanes } }
    : { code: wgsl('attention.reduce'), constants: { THREADS: threads } };
}

/** Tiles of queries and of keys in workgroup memory: the largest that fit. null where no tile fits, or no register. */
function planTiles(op: AttentionOp, bindings: Bindings, facts: DeviceFacts): Variant | null {
  const { heads, kvHeads, headDim } = op;
  if (headDim > MOST_TILE_DIM) return null;
  const threads = 256;
  const workgroupBytes = (queries: number, keys: number) =>
    (queries * headDim + keys * (headDim / 2 + 1) + queries * (keys + 1 + 5) + threads) * F32_BYTES;
  const sizes = [
    [32, 32],
    [16, 32],
    [8, 32],
    [8, 16],
    [8, 8],
  ];
  const fitting = sizes.find(
    ([queries, keys]) => workgroupBytes(queries, keys) <= facts.limits.maxComputeWorkgroupStorageSize,
  );
  if (!fitting) return null;
  const [queries, keys] = fitting;
  const { reads, out } = operands(op, bindings);
  const dispatch: Dispatch = {
    label: `attention ${heads}/${kvHeads} x ${headDim}, tiles of ${queries} x ${keys}`,
    code: wgsl('attention', 'attention.tiles'),
    constants: { ...constantsOf(op, bindings, facts), QUERIES: queries, KEYS: keys },
    bindings: ['step', ...reads, out],
    groups: (rows) => [Math.ceil((rows * (heads / kvHeads)) / queries), kvHeads, 1],
    weightBytes: 0,
  };
  return { maxRows: bindings.sizes.maxRows, dispatches: [dispatch] };
}
