import type { Bindings } from '../../backend.js';
import type { GatedMatmulOp } from '../../ops.js';
import type { DeviceFacts, KernelPlan } from '../kernel.js';
import { planProducts } from './matmul.js';
import { type GatedProduct, inputDispatches, type PartsProduct, productDispatches, scratchBytes } from './product.js';
import { chooseProducts } from './product-choice.js';
import { canCover } from './product-ranges.js';

/**
 * Gate and up of one type in one memory are one dispatch. Otherwise gate's product goes to `out`, and up's takes it from
 * there: out = silu(out) * product.
 */
export function planGatedMatmul(op: GatedMatmulOp, bindings: Bindings, facts: DeviceFacts): KernelPlan {
  const { maxRows } = bindings.sizes;
  const gate = bindings.weights.get(op.gate)!;
  const up = bindings.weights.get(op.up)!;
  const input = bindings.buffers.get(op.input)!;
  const out = bindings.buffers.get(op.out)!;
  if (gate.type === up.type && canCover([gate.range, up.range], facts)) {
    return planFused({ kind: 'gated', input, gate, up, out, over: 'rows' }, maxRows, facts);
  }
  const product = (weight: typeof gate, mode: PartsProduct['mode']): PartsProduct => ({
    kind: 'parts',
    input,
    parts: [{ weight, bias: null, out }],
    mode,
    over: 'rows',
  });
  return planProducts([product(gate, 'store'), product(up, 'gate')], maxRows, facts);
}

function planFused(product: GatedProduct, maxRows: number, facts: DeviceFacts): KernelPlan {
  const { type, cols, rows } = product.gate;
  const choices = chooseProducts({ type, cols, rows: 2 * rows, gated: true }, maxRows, facts);
  return {
    over: 'rows',
    variants: choices.map(({ maxRows: count, choice }) => ({
      maxRows: count,
      dispatches: [
        ...inputDispatches(product, choice, count, facts),
        ...productDispatches(product, choice, count, facts),
      ],
    })),
    scratchBytes: Math.max(...choices.map(({ maxRows: count, choice }) => scratchBytes(product, choice, count))),
  };
}
