// What native/cuda/op-list.cc allocates, from shapes: scratch and step on the device, steps on their way in pinned memory.
import { type GgmlType, TYPES } from '../../gguf/types.js';
import type { ListMemory } from '../backend.js';
import type { ListShape } from '../list-memory.js';
import type { AttentionOp, GatedMatmulOp, MatmulOp, Op, TopKOp } from '../ops.js';
import { weightsOf } from './fusion.js';

/** native/cuda/memory.cc: behind the end of every memory. */
const PADDING = 256;
/** native/cuda/op-list.h */
const STAGES = 16 + 2;
const ROW_BYTES = 16;
const OUTPUT_BYTES = 8;
/** native/cuda/kernels/attention.cu and attention-splits.cuh */
const MOST_SPLITS = 64;
const SPLIT_ROWS = 16;
const MOST_HEADS = 8;
/** native/cuda/kernels/top-k.cu */
const CHUNK = 4096;

const roundUp = (bytes: number) => Math.ceil(bytes / 256) * 256;
const padded = (bytes: number) => (Math.floor(bytes / PADDING) + 1) * PADDING;

export function cudaListMemory(list: ListShape): ListMemory {
  const { ops, sizes } = list;
  let shared = 0;
  let attention = 0;
  ops.forEach((op, index) => {
    if (op.kind === 'matmul' || op.kind === 'gated-matmul') {
      shared = Math.max(shared, productBytes(op, ops[index - 1], list));
    } else if (op.kind === 'top-k') shared = Math.max(shared, topKBytes(op, sizes.maxOutputs));
    else if (op.kind === 'attention') attention = Math.max(attention, attentionBytes(op, sizes.maxRows));
  });
  const step = OUTPUT_BYTES * sizes.maxOutputs + ROW_BYTES * sizes.maxRows;
  const device = padded(roundUp(attention) + shared) + padded(step);
  return { device, host: padded(STAGES * roundUp(step)) };
}

/** product.cu: codes, scales and sums of the input; the input normed, where a norm is part of the product; up beside gate. */
function productBytes(op: MatmulOp | GatedMatmulOp, before: Op | undefined, { weights, sizes }: ListShape): number {
  const [first, second] = weightsOf(op).map((name) => weights.get(name)!);
  const rows = op.kind === 'matmul' && op.outputs ? sizes.maxOutputs : sizes.maxRows;
  const { cols } = first;
  const width = rows <= 8 ? 8 : rows <= 16 ? 16 : 64;
  const columns = Math.ceil(rows / width) * width;
  const pieces = Math.ceil(cols / 32);
  const coded = roundUp(32 * columns * pieces) + 2 * roundUp(4 * columns * pieces);
  // fusion.ts: whether anyone else reads the norm is not asked here.
  const mayNorm = before?.kind === 'rms-norm' && before.out === op.input && !before.selectOutputs;
  const isCoded = (type: GgmlType) => TYPES[type].blockWeights > 1;
  const norms = mayNorm && weightsOf(op).every((name) => isCoded(weights.get(name)!.type));
  const up = op.kind === 'gated-matmul' && first.type !== second.type ? roundUp(4 * rows * second.rows) : 0;
  return coded + (norms ? roundUp(4 * rows * cols) : 0) + up;
}

function attentionBytes({ heads, kvHeads, headDim }: AttentionOp, rows: number): number {
  const tickets = SPLIT_ROWS * kvHeads * Math.ceil(heads / kvHeads / MOST_HEADS);
  const parts = MOST_SPLITS * Math.min(rows, SPLIT_ROWS);
  return roundUp(4 * tickets) + 4 * parts * heads * (headDim + 2);
}

function topKBytes({ width, k }: TopKOp, outputs: number): number {
  return outputs * Math.ceil(width / CHUNK) * (8 + 8 * k);
}
