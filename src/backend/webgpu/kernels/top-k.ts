import { NtxError } from '../../../errors.js';
import type { Bindings } from '../../backend.js';
import type { TopKOp } from '../../ops.js';
import type { Binding, BindingSlot, DeviceFacts, Dispatch, KernelPlan } from '../kernel.js';
import { wgsl } from '../wgsl.js';
import { fixedLanes, isSoftware, powerOfTwo, reduction, threadsFor } from './launch.js';

/** Logits of one workgroup of the first round: few enough to fill a GPU, many enough that few are left for the last. */
const CHUNK = 4096;
/** The radix select's histogram takes an invocation a bin. */
const BINS = 256;
const MAX_K = 1024;

/** Invocations of a workgroup that finds the largest of groups: its subgroups do not wait for each other. */
const GROUP_THREADS = 128;
const MOST_BEST_THREADS = 1024;
/** A ballot's first word holds them. */
const MOST_LANES = 32;
/** A subgroup finds the largest of so many groups, an invocation of the last round holds them. */
const QUAD = 4;

export function planTopK(op: TopKOp, bindings: Bindings, facts: DeviceFacts): KernelPlan {
  const { k } = op;
  if (k > MAX_K) {
    throw new NtxError('unsupported', `top-k: expected k of at most ${MAX_K}, got ${k}`, 'ask for fewer candidates');
  }
  const cut = cutGroups(op, facts);
  return cut ? planGroups(op, cut, bindings, facts) : planChunks(op, bindings, facts);
}

/** Chunks choose their best, then one workgroup an output the best of those; one round where a chunk holds all. */
function planChunks({ input, out, width, k }: TopKOp, { buffers, sizes }: Bindings, facts: DeviceFacts): KernelPlan {
  const { maxRows, maxOutputs } = sizes;
  const chunks = Math.ceil(width / CHUNK);
  const logits: Binding = { range: buffers.get(input)!, access: 'read' };
  const best: Binding = { range: buffers.get(out)!, access: 'read-write' };
  const constants = { WIDTH: width, K: k, CHUNK, SORTED: powerOfTwo(k) };
  const dispatch = (part: string, files: readonly string[], items: number, slots: readonly BindingSlot[]): Dispatch => {
    const last = files.includes('top-k.result');
    const reduce = reduction(facts, Math.max(BINS, threadsFor(items / 8, facts, 1024)));
    return {
      label: `top-k ${k} of ${width}, ${part}`,
      code: `${reduce.code}\n${wgsl('top-k.order', 'top-k', ...files)}`,
      constants: { ...reduce.constants, ...constants, ...(last && { MAX_ROWS: maxRows }) },
      bindings: slots,
      groups: (outputs) => [last ? 1 : chunks, outputs, 1],
      weightBytes: 0,
    };
  };
  const dispatches =
    chunks === 1
      ? [dispatch('whole', ['top-k.logits', 'top-k.result'], width, [logits, null, 'step', best])]
      : [
          dispatch('chunks', ['top-k.logits', 'top-k.chunk'], CHUNK, [logits, 'scratch']),
          dispatch('result', ['top-k.chosen', 'top-k.result'], chunks * k, [logits, 'scratch-read', 'step', best]),
        ];
  return {
    over: 'outputs',
    variants: [{ maxRows: maxOutputs, dispatches }],
    scratchBytes: chunksBytes(width, k, maxOutputs),
  };
}

function chunksBytes(width: number, k: number, outputs: number): number {
  const chunks = Math.ceil(width / CHUNK);
  return chunks === 1 ? 0 : outputs * chunks * (k + 1) * 8;
}

function groupsBytes(quads: number, outputs: number): number {
  return outputs * quads * (QUAD + 1) * 4;
}

/** Scratch on any device, at most. There are no more fours of groups than invocations of the last round. */
export function mostTopKBytes({ width, k }: TopKOp, outputs: number): number {
  const quads = Math.min(MOST_BEST_THREADS, Math.ceil(width / QUAD));
  return Math.max(chunksBytes(width, k, outputs), groupsBytes(quads, outputs));
}

interface GroupCut {
  /** Of a subgroup. */
  readonly lanes: number;
  /** Logits of a group. */
  readonly group: number;
  /** Fours of groups. */
  readonly quads: number;
  /** Invocations of the last round's workgroup. */
  readonly threads: number;
}

/** How groups cut the logits; null where the device lacks what the kernels take, or there are too few groups to say anything. */
function cutGroups({ width, k }: TopKOp, facts: DeviceFacts): GroupCut | null {
  const lanes = fixedLanes(facts);
  const threads = threadsFor(MOST_BEST_THREADS, facts, MOST_BEST_THREADS);
  if (lanes < QUAD || lanes > MOST_LANES || threads < Math.max(BINS, 2 * k)) return null;
  const group = lanes * powerOfTwo(width / (QUAD * threads * lanes));
  if (Math.ceil(width / group) < k) return null;
  if (workgroupBytes(threads, lanes) > facts.limits.maxComputeWorkgroupStorageSize) return null;
  return { lanes, group, quads: Math.ceil(width / (QUAD * group)), threads };
}

/** Of top-k.best.wgsl, with the radix select's. */
function workgroupBytes(threads: number, lanes: number): number {
  return 4 * (6 * threads + (4 * threads) / lanes + 3 * BINS + 16);
}

/** The largest of every group, then one workgroup an output that looks only at groups whose largest are among the best. */
function planGroups(op: TopKOp, cut: GroupCut, { buffers, sizes }: Bindings, facts: DeviceFacts): KernelPlan {
  const { input, out, width, k } = op;
  const { lanes, group, quads, threads } = cut;
  const { maxRows, maxOutputs } = sizes;
  const logits: Binding = { range: buffers.get(input)!, access: 'read' };
  const best: Binding = { range: buffers.get(out)!, access: 'read-write' };
  const constants = { LANES: lanes, WIDTH: width, GROUP: group, QUADS: quads, MAX_OUTPUTS: maxOutputs };
  const first = ['reduce.subgroups', 'top-k.order', 'top-k.cut'];
  const loads = isSoftware(facts) ? 'top-k.loads-2' : 'top-k.loads-12';
  const groups: Dispatch = {
    label: `top-k ${k} of ${width}, groups`,
    code: wgsl(...first, 'top-k.groups'),
    constants: { ...constants, THREADS: GROUP_THREADS },
    bindings: [logits, 'scratch'],
    groups: (outputs) => [Math.ceil(quads / (GROUP_THREADS / lanes)), outputs, 1],
    weightBytes: 0,
  };
  const result: Dispatch = {
    label: `top-k ${k} of ${width}, result`,
    code: wgsl(...first, 'top-k', 'top-k.logits', 'top-k.buckets', loads, 'top-k.best'),
    constants: { ...constants, THREADS: threads, K: k, CHUNK: width, SORTED: threads, MAX_ROWS: maxRows },
    bindings: [logits, 'scratch-read', 'step', best, 'scratch-read'],
    groups: (outputs) => [1, outputs, 1],
    weightBytes: 0,
  };
  return {
    over: 'outputs',
    variants: [{ maxRows: maxOutputs, dispatches: [groups, result] }],
    scratchBytes: groupsBytes(quads, maxOutputs),
  };
}
