import type { Bindings } from '../../backend.js';
import type { GatedMatmulOp } from '../../ops.js';
import type { OpFlow } from '../flow.js';
import type { DeviceFacts, KernelPlan } from '../kernel.js';
import { planProducts } from './matmul.js';
import type { PartsProduct } from './product.js';
import { canCover } from './product-ranges.js';

/**
 * Gate and up of one type in one memory are one dispatch. Otherwise gate's product goes to `out`, and up's takes it from
 * there: out = silu(out) * product.
 */
export function planGatedMatmul(op: GatedMatmulOp, bindings: Bindings, facts: DeviceFacts, flow: OpFlow): KernelPlan {
  const { maxRows } = bindings.sizes;
  const gate = bindings.weights.get(op.gate)!;
  const up = bindings.weights.get(op.up)!;
  const input = bindings.buffers.get(op.input)!;
  const out = bindings.buffers.get(op.out)!;
  if (gate.type === up.type && canCover([gate.range, up.range], facts)) {
    return planProducts([{ kind: 'gated', input, gate, up, out, over: 'rows', flow }], maxRows, facts);
  }
  const product = (weight: typeof gate, mode: PartsProduct['mode']): PartsProduct => ({
    kind: 'parts',
    input,
    parts: [{ weight, bias: null, out }],
    mode,
    over: 'rows',
    flow,
  });
  return planProducts([product(gate, 'store'), product(up, 'gate')], maxRows, facts);
}
