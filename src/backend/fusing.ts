// What a backend must know of a list before it makes an op part of its neighbour: who else would miss what is not written then.
import type { Bindings, DeviceRange } from './backend.js';
import type { AttentionOp, Op, RopeKvWriteOp } from './ops.js';

/** Whoever reads the buffer stands directly behind an op that writes it anew. */
export function isPrivate(buffer: string, ops: readonly Op[], { buffers }: Bindings): boolean {
  const range = buffers.get(buffer)!;
  return ops.every((op, i) => {
    const touches = readsOf(op).filter((name) => overlap(buffers.get(name)!, range));
    return (
      touches.length === 0 ||
      (i > 0 && writtenBy(ops[i - 1]).includes(buffer) && touches.every((name) => name === buffer))
    );
  });
}

/** The attention reads what this rotation and cache write leaves. */
export function readsRotated(attention: Op | undefined, rope: RopeKvWriteOp): attention is AttentionOp {
  if (attention?.kind !== 'attention') return false;
  const names = ['q', 'kCache', 'vCache', 'heads', 'kvHeads', 'headDim'] as const;
  return names.every((name) => attention[name] === rope[name]);
}

/** Buffers whose former contents are lost. */
function writtenBy(op: Op): string[] {
  if (op.kind === 'matmul') return op.accumulate ? [] : op.parts.map(({ out }) => out);
  if (op.kind === 'rope-kv-write') return [op.q];
  return [op.out];
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

function overlap(a: DeviceRange, b: DeviceRange): boolean {
  return a.memory === b.memory && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}
