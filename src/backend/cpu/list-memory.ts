// The scratch of native/host/op-list.cc, from shapes: the largest of an op, as its kernel lays it out.
import type { ListMemory } from '../backend.js';
import type { ListShape } from '../list-memory.js';
import type { Op, TopKOp } from '../ops.js';

/** native/host/kernels/matmul-kernels.h and matmul-driver.h */
const CURSOR_BYTES = 64;
const TILE_COLUMNS = 512;
const MOST_TILE_ROWS = 64;
const TILE_SCRATCH = 160 * 1024;
/** native/host/kernels/vector-kernels.h and attention.cc */
const SPLIT_POSITIONS = 256;
const MOST_QUERIES = 32;
const PARTIAL_HEADER = 16;
const TILE_POSITIONS = 32;
const PAIRS_A_WORKER = 16;
/** native/host/kernels/top-k.cc */
const BLOCK = 64;
const CHUNK = 64 * BLOCK;

const roundUp = (value: number, unit: number) => Math.ceil(value / unit) * unit;

export function cpuListMemory(list: ListShape, threads: number): ListMemory {
  return { device: 0, host: Math.max(0, ...list.ops.map((op) => scratchBytes(op, list, threads))) };
}

function scratchBytes(op: Op, { weights, sizes }: ListShape, threads: number): number {
  switch (op.kind) {
    case 'matmul': {
      const rows = op.outputs ? Math.max(1, sizes.maxOutputs) : sizes.maxRows;
      return productBytes(weights.get(op.parts[0].weight)!.cols, rows, threads);
    }
    case 'gated-matmul':
      return productBytes(weights.get(op.gate)!.cols, sizes.maxRows, threads);
    case 'attention':
      return attentionBytes(op.headDim, sizes.context, threads);
    case 'top-k':
      return topKBytes(op, threads);
    default:
      return 0;
  }
}

/** Cursors, the rounded activations in both forms (activations.h), and what each thread computes a tile in. */
function productBytes(cols: number, rows: number, threads: number): number {
  const per32 = 4 * Math.floor(cols / 32);
  const form32 = roundUp(roundUp(cols, 64) + 2 * per32, 128) + 64;
  const per256 = 4 * Math.floor(cols / 256);
  const sums = roundUp(cols + per256, 64) + (cols / 8 + cols / 16 + cols / 8 + cols / 4);
  const form256 = cols % 256 === 0 ? roundUp(sums, 128) + 64 : 0;
  const results = 4 * Math.min(rows, TILE_COLUMNS) * MOST_TILE_ROWS;
  return threads * (CURSOR_BYTES + 2 * results + TILE_SCRATCH) + rows * (form32 + form256);
}

function attentionBytes(headDim: number, context: number, threads: number): number {
  const padded = roundUp(headDim, 16);
  const own = MOST_QUERIES * (SPLIT_POSITIONS + 16) + (TILE_POSITIONS + MOST_QUERIES) * padded;
  const partials = MOST_QUERIES * Math.max(Math.ceil(context / SPLIT_POSITIONS), PAIRS_A_WORKER * threads);
  return 4 * (threads * own + partials * (PARTIAL_HEADER + padded));
}

function topKBytes({ width, k }: TopKOp, threads: number): number {
  const blocks = Math.ceil(width / BLOCK);
  const chunks = Math.ceil(width / CHUNK);
  const parts = [4 * blocks, 8 * chunks, 4 * chunks, 4 * threads * blocks, 8 * threads, 8 * threads * (4 * k + BLOCK)];
  return parts.reduce((sum, bytes) => sum + roundUp(bytes, 64), 0);
}
