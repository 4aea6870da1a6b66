// What record.ts allocates, from shapes: on any device at most so much. What an adapter can do decides how kernels are cut, and
// with that a little of their scratch; most of it are the rounded activations of a prompt's products, which are the same on all.
import { typeBytes } from '../../gguf/types.js';
import type { ListMemory } from '../backend.js';
import type { ListShape } from '../list-memory.js';
import type { Op } from '../ops.js';
import { StepBuffer } from '../step.js';
import { isCoded } from './flow.js';
import { mostAttentionBytes } from './kernels/attention.js';
import { gatheredStride } from './kernels/embed.js';
import { mostScratchBytes } from './kernels/product.js';
import { mostTopKBytes } from './kernels/top-k.js';

/** WebGPU's largest minimum for offsets of bindings. */
const ALIGNMENT = 256;

export function webGpuListMemory(list: ListShape): ListMemory {
  const { maxRows, maxOutputs } = list.sizes;
  let upload = new StepBuffer(maxRows, maxOutputs).words.byteLength;
  for (const op of list.ops) {
    if (op.kind !== 'embed') continue;
    const { type, cols } = list.weights.get(op.table)!;
    upload = Math.ceil(upload / ALIGNMENT) * ALIGNMENT + gatheredStride(typeBytes(type, cols)) * maxRows;
  }
  const scratch = Math.max(0, ...list.ops.map((op) => scratchBytes(op, list)));
  return { device: upload + scratch, host: upload };
}

function scratchBytes(op: Op, { weights, sizes }: ListShape): number {
  const { maxRows, maxOutputs } = sizes;
  const product = (names: readonly string[], rows: number) => {
    const matrices = names.map((name) => weights.get(name)!);
    return matrices.some(({ type }) => isCoded(type)) ? mostScratchBytes(rows, matrices[0].cols) : 0;
  };
  switch (op.kind) {
    case 'matmul': {
      const names = op.parts.map(({ weight }) => weight);
      return product(names, op.outputs ? maxOutputs : maxRows);
    }
    case 'gated-matmul':
      return product([op.gate, op.up], maxRows);
    case 'attention':
      return mostAttentionBytes(op, sizes);
    case 'top-k':
      return mostTopKBytes(op, maxOutputs);
    default:
      return 0;
  }
}
