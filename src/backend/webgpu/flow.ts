// How activations go from op to op of a list in passes of few rows. What a product of coded weights reads is rounded to 8 bits
// anyway: the op before leaves it so, an rms-norm becomes part of the product before it, and rope-kv-write of the attention
// behind it. A layer is five dispatches then. At this size a dispatch costs as much as reading several megabytes.
import { type GgmlType, TYPES } from '../../gguf/types.js';
import type { Bindings, DeviceRange } from '../backend.js';
import { isPrivate, readsRotated } from '../fusing.js';
import type { AttentionOp, GatedMatmulOp, MatmulOp, Op, RmsNormOp, RopeKvWriteOp } from '../ops.js';
import type { DeviceFacts } from './kernel.js';
import { canDecode, canRotate } from './kernels/attention-decode.js';
import { fixedLanes } from './kernels/launch.js';
import { canCover, rowsThatFit } from './kernels/product-ranges.js';

/** Passes with more rows take and leave f32: their products round activations in tiles' order. */
export const CODED_ROWS = 16;

/** What an op does otherwise than by itself, in passes of at most CODED_ROWS rows. */
export interface OpFlow {
  /**
   * The input is codes (kernels/wgsl/code-rows.write.wgsl) in place of f32; `eps` of a norm whose division by the root mean
   * square is left to this op, or null.
   */
  readonly input: { readonly eps: number | null } | null;
  /** The output (of matmul: what the norm behind it makes of it) is left as codes in `out`. */
  readonly output: { readonly out: DeviceRange; readonly norm: DeviceRange | null } | null;
  /** attention: does this too, where the pass has one row. */
  readonly rotation: RopeKvWriteOp | null;
  /** 'always': another op does all of it; 'single': in passes of one row. */
  readonly done: 'always' | 'single' | null;
}

/** The flow of every op of a list. Nothing flows into an op of `breaks` from the one before it. */
export function flowOf(
  ops: readonly Op[],
  bindings: Bindings,
  facts: DeviceFacts,
  breaks: readonly number[] = [],
): OpFlow[] {
  const flows = ops.map((): { -readonly [K in keyof OpFlow]: OpFlow[K] } => ({
    input: null,
    output: null,
    rotation: null,
    done: null,
  }));
  ops.forEach((op, i) => {
    const next = breaks.includes(i + 1) ? undefined : ops[i + 1];
    const before = breaks.includes(i) ? undefined : ops[i - 1];
    if (op.kind === 'rope-kv-write' && readsRotated(next, op) && isPrivate(op.q, ops, bindings)) {
      if (canRotate(op, next, bindings, facts)) {
        flows[i].done = 'single';
        flows[i + 1].rotation = op;
      }
    }
    if (!isCodable(op) || !leavesCodes(op, next, ops, bindings, facts)) return;
    const out = bindings.buffers.get(op.out)!;
    const norm = op.kind === 'rms-norm' ? bindings.weights.get(op.weight)!.range : null;
    flows[i + 1].input = { eps: op.kind === 'rms-norm' ? op.eps : null };
    if (op.kind === 'rms-norm' && takesNorm(before, op, bindings, facts)) {
      flows[i - 1].output = { out, norm };
      flows[i].done = 'always';
    } else {
      flows[i].output = { out, norm };
    }
  });
  return flows;
}

export function isCoded(type: GgmlType): boolean {
  return TYPES[type].blockWeights > 1;
}

type CodableOp = RmsNormOp | AttentionOp | GatedMatmulOp;

function isCodable(op: Op): op is CodableOp {
  return op.kind === 'rms-norm' || op.kind === 'attention' || op.kind === 'gated-matmul';
}

/** Only the op behind reads what an op leaves, as codes, and it can leave them. */
function leavesCodes(
  op: CodableOp,
  next: Op | undefined,
  ops: readonly Op[],
  bindings: Bindings,
  facts: DeviceFacts,
): boolean {
  if (next?.kind !== 'matmul' && next?.kind !== 'gated-matmul') return false;
  if (next.input !== op.out || !isPrivate(op.out, ops, bindings)) return false;
  const overOutputs = op.kind === 'rms-norm' && op.selectOutputs;
  if (overOutputs !== (next.kind === 'matmul' && next.outputs)) return false;
  const names = next.kind === 'matmul' ? next.parts.map(({ weight }) => weight) : [next.gate, next.up];
  const weights = names.map((name) => bindings.weights.get(name)!);
  if (!canHandOn(facts)) return false;
  if (!weights.every(({ type, cols }) => isCoded(type) && cols % 32 === 0)) return false;
  if (bindings.buffers.get(op.out)!.offset % 16 !== 0) return false;
  if (op.kind === 'rms-norm') return true;
  if (op.kind === 'attention') return canDecode(op, facts) && op.headDim % 32 === 0;
  const gate = bindings.weights.get(op.gate)!;
  const up = bindings.weights.get(op.up)!;
  return isCoded(gate.type) && gate.type === up.type && gate.rows % 32 === 0 && canCover([gate.range, up.range], facts);
}

/** The op before a norm is a product that writes what the norm reads, in whole blocks of 32. */
function takesNorm(
  before: Op | undefined,
  norm: RmsNormOp,
  { weights, buffers }: Bindings,
  facts: DeviceFacts,
): before is MatmulOp {
  if (before?.kind !== 'matmul' || before.outputs || norm.selectOutputs || !before.accumulate) return false;
  if (before.parts.length !== 1 || before.parts[0].out !== norm.input) return false;
  const weight = weights.get(before.parts[0].weight)!;
  if (!isCoded(weight.type) || weight.rows !== norm.width || rowsThatFit(weight, 32, facts).length !== 1) return false;
  const read = [buffers.get(before.input)!, weight.range, weights.get(norm.weight)!.range];
  const { memory } = buffers.get(norm.out)!;
  return read.every((range) => range.memory !== memory) && weight.rows % 32 === 0;
}

/** A workgroup of vector kernels makes a block of 32 results: at four rows a thread, eight groups of a subgroup each. */
export function canHandOn(facts: DeviceFacts): boolean {
  const { packedDot, limits } = facts;
  const lanes = fixedLanes(facts);
  const threads = Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
  return packedDot && lanes >= 8 && lanes <= 64 && 8 * lanes <= threads;
}

/** What an op by itself does. */
export const NO_FLOW: OpFlow = { input: null, output: null, rotation: null, done: null };
