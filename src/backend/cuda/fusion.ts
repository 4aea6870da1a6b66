// Which ops become part of the op behind them. What they would leave for it alone is not written then.
import { type GgmlType, TYPES } from '../../gguf/types.js';
import type { Bindings, DeviceRange } from '../backend.js';
import type { GatedMatmulOp, MatmulOp, Op, RmsNormOp, RopeKvWriteOp } from '../ops.js';

/**
 * The indices of norms in front of products that round their input to 8 bits anyway, and norm it on the way; and of
 * rope-kv-writes in front of their attention, which does it as well where no two rows of a pass are of one sequence. Nothing
 * else reads the norm's output, or q.
 */
export function fusedOps(ops: readonly Op[], bindings: Bindings): number[] {
  return ops.flatMap((op, i) => {
    const fused =
      (op.kind === 'rms-norm' && takesNorm(ops[i + 1], op, bindings) && isPrivate(op.out, ops, bindings)) ||
      (op.kind === 'rope-kv-write' && takesRope(ops[i + 1], op) && isPrivate(op.q, ops, bindings));
    return fused ? [i] : [];
  });
}

function takesNorm(product: Op | undefined, norm: RmsNormOp, { weights }: Bindings): boolean {
  if (norm.selectOutputs || !isProduct(product) || product.input !== norm.out) return false;
  if (product.kind === 'matmul' && product.outputs) return false;
  return weightsOf(product).every((name) => isQuantised(weights.get(name)!.type));
}

function takesRope(attention: Op | undefined, rope: RopeKvWriteOp): boolean {
  if (attention?.kind !== 'attention') return false;
  const names = ['q', 'kCache', 'vCache', 'heads', 'kvHeads', 'headDim'] as const;
  return names.every((name) => attention[name] === rope[name]);
}

/** Whoever reads the buffer stands directly behind an op that writes it anew. */
function isPrivate(buffer: string, ops: readonly Op[], { buffers }: Bindings): boolean {
  const range = buffers.get(buffer)!;
  return ops.every((op, i) => {
    const touches = readsOf(op).filter((name) => overlap(buffers.get(name)!, range));
    return (
      touches.length === 0 ||
      (i > 0 && writtenBy(ops[i - 1]).includes(buffer) && touches.every((name) => name === buffer))
    );
  });
}

/** Buffers whose former contents are lost. */
function writtenBy(op: Op): string[] {
  if (op.kind === 'matmul') return op.accumulate ? [] : op.parts.map(({ out }) => out);
  if (op.kind === 'rope-kv-write') return [op.q];
  return [op.out];
}

function isProduct(op: Op | undefined): op is MatmulOp | GatedMatmulOp {
  return op?.kind === 'matmul' || op?.kind === 'gated-matmul';
}

/** Weights of the products that an op computes. */
export function weightsOf(op: Op): string[] {
  if (op.kind === 'matmul') return op.parts.map(({ weight }) => weight);
  return op.kind === 'gated-matmul' ? [op.gate, op.up] : [];
}

function isQuantised(type: GgmlType): boolean {
  return TYPES[type].blockWeights > 1;
}

function overlap(a: DeviceRange, b: DeviceRange): boolean {
  return a.memory === b.memory && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

/** Buffers whose contents an op takes up. */
function readsOf(op: Op): string[] {
  switch (op.kind) {
    case 'embed':
      return [];
    case 'rms-norm':
    case 'gated-matmul':
    case 'top-k':
      return [op.input];
    case 'matmul':
      return [op.input, ...(op.accumulate ? op.parts.map(({ out }) => out) : [])];
    case 'rope-kv-write':
      return [op.q, op.k, op.v, op.table];
    case 'attention':
      return [op.q, op.kCache, op.vCache];
  }
}
