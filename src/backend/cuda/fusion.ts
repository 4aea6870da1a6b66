// Which ops become part of the op behind them. What they would leave for it alone is not written then.
import { type GgmlType, TYPES } from '../../gguf/types.js';
import type { Bindings } from '../backend.js';
import { isPrivate, readsRotated } from '../fusing.js';
import type { GatedMatmulOp, MatmulOp, Op, RmsNormOp } from '../ops.js';

/**
 * The indices of norms in front of products that round their input to 8 bits anyway, and norm it on the way; and of
 * rope-kv-writes in front of their attention, which does it as well where no two rows of a pass are of one sequence. Nothing
 * else reads the norm's output, or q. `breaks`: indices of ops that nothing in front of them is part of.
 */
export function fusedOps(ops: readonly Op[], bindings: Bindings, breaks: readonly number[] = []): number[] {
  return ops.flatMap((op, i) => {
    if (breaks.includes(i + 1)) return [];
    const fused =
      (op.kind === 'rms-norm' && takesNorm(ops[i + 1], op, bindings) && isPrivate(op.out, ops, bindings)) ||
      (op.kind === 'rope-kv-write' && readsRotated(ops[i + 1], op) && isPrivate(op.q, ops, bindings));
    return fused ? [i] : [];
  });
}

function takesNorm(product: Op | undefined, norm: RmsNormOp, { weights }: Bindings): boolean {
  if (norm.selectOutputs || !isProduct(product) || product.input !== norm.out) return false;
  if (product.kind === 'matmul' && product.outputs) return false;
  return weightsOf(product).every((name) => isQuantised(weights.get(name)!.type));
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
