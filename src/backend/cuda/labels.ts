import { typeBytes } from '../../gguf/types.js';
import type { Bindings } from '../backend.js';
import type { Op } from '../ops.js';
import { weightsOf } from './fusion.js';

/** Op, types and shape, for people who look at timings. */
export function labelOf(op: Op, bindings: Bindings): string {
  const matrices = weightsOf(op).map((name) => bindings.weights.get(name)!);
  if (matrices.length > 0) {
    const types = [...new Set(matrices.map(({ type }) => type))].join('+');
    const shape = `${matrices.map(({ rows }) => rows).join('+')} x ${matrices[0].cols}`;
    return `${op.kind} ${types} ${shape}`;
  }
  switch (op.kind) {
    case 'embed':
      return `embed ${bindings.weights.get(op.table)!.type} ${bindings.weights.get(op.table)!.cols}`;
    case 'rms-norm':
      return `rms-norm ${op.width}`;
    case 'rope-kv-write':
    case 'attention':
      return `${op.kind} ${op.heads}/${op.kvHeads} x ${op.headDim}`;
    case 'top-k':
      return `top-k ${op.k} of ${op.width}`;
    default:
      return op.kind;
  }
}

/** Bytes of weights that an op's products read. */
export function weightBytesOf(op: Op, { weights }: Bindings): number {
  return weightsOf(op).reduce((sum, name) => {
    const { type, rows, cols } = weights.get(name)!;
    return sum + rows * typeBytes(type, cols);
  }, 0);
}
