import type { Bindings } from '../../backend.js';
import type { Op } from '../../ops.js';
import type { OpFlow } from '../flow.js';
import type { DeviceFacts, KernelPlan } from '../kernel.js';
import { planAttention } from './attention.js';
import { planEmbed } from './embed.js';
import { planGatedMatmul } from './gated-matmul.js';
import { planMatmul } from './matmul.js';
import { planRmsNorm } from './rms-norm.js';
import { planRopeKvWrite } from './rope-kv-write.js';
import { planTopK } from './top-k.js';

/** The kernels of an op whose operands have been checked. Throws NtxError('unsupported') for what they cannot do. */
export function planOp(op: Op, bindings: Bindings, facts: DeviceFacts, flow: OpFlow): KernelPlan {
  switch (op.kind) {
    case 'embed':
      return planEmbed(op, bindings);
    case 'rms-norm':
      return planRmsNorm(op, bindings, facts, flow);
    case 'matmul':
      return planMatmul(op, bindings, facts, flow);
    case 'gated-matmul':
      return planGatedMatmul(op, bindings, facts, flow);
    case 'rope-kv-write':
      return planRopeKvWrite(op, bindings, facts, flow);
    case 'attention':
      return planAttention(op, bindings, facts, flow);
    case 'top-k':
      return planTopK(op, bindings, facts);
  }
}
