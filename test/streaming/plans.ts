// Plans of every kind, legal and far from what a planner would choose.
import type { TensorInfo } from '../../src/gguf/types.js';
import { isFeedForward } from '../../src/model/index.js';
import type { OpenedModel } from '../../src/open-model.js';
import type { Extent, Tier, Transfer } from '../../src/placement/plan.js';
import { pack } from '../../src/streaming/layout.js';
import type { ExecutablePlan } from '../../src/streaming/recording.js';

export interface PlanChoice {
  /** Per unit, modulo their number: 0 device, 1 host-copy, 2 disk, 3 host-compute (host-copy for what is no feed-forward unit). */
  readonly tiers: readonly number[];
  /** Per unit of host-compute, modulo their number: which schedules it is computed by the CPU in. Absent: all of them. */
  readonly onCpu?: readonly (readonly [boolean, boolean])[];
  readonly slots: number;
  readonly staging: number;
  /** Which slot, and which staging buffer, a transfer takes: repeated, modulo their number. */
  readonly turns: readonly number[];
  /** Offsets and lengths of reads are multiples of it. */
  readonly alignment: number;
  /** Kernels use staging buffers as they are. */
  readonly inPlace: boolean;
}

const TIERS = ['device', 'host-copy', 'disk', 'host-compute'] as const satisfies Tier[];

/** The choice as a plan of the model, with one schedule for passes of one row and another, in other slots, for more. */
export function planOf({ model, gguf }: OpenedModel, choice: PlanChoice): ExecutablePlan {
  const fileBytes = gguf.files.map(({ bytes }) => bytes);
  const tiers = model.units.map((unit, i) => {
    const wanted = TIERS[choice.tiers[i % choice.tiers.length]];
    const tier = wanted === 'host-compute' && !isFeedForward(unit) ? 'host-copy' : wanted;
    return choice.inPlace && tier === 'host-copy' ? 'device' : tier;
  });
  const isOnCpu = (unit: number, schedule: 0 | 1) =>
    tiers[unit] === 'host-compute' &&
    (choice.inPlace || (choice.onCpu?.[unit % choice.onCpu.length][schedule] ?? true));
  const unitBytes = Math.max(...model.units.map(({ tensors }) => pack(tensors).bytes));
  const reads = model.units.map(({ tensors }) => extentsOf(tensors, fileBytes, choice.alignment));
  const stagingBytes = Math.max(...reads.flat().map(({ at, bytes }) => at + bytes));
  const streams = tiers.some((tier) => tier !== 'device');
  const schedule = (maxRows: number, shift: 0 | 1) => {
    let count = 0;
    const transfers = tiers.flatMap((tier, unit): Transfer[] => {
      if (tier === 'device' || isOnCpu(unit, shift)) return [];
      const turn =
        choice.turns[(count + shift) % choice.turns.length] + Math.floor((count + shift) / choice.turns.length);
      count++;
      const isRead = tier === 'disk';
      const slot = choice.inPlace ? null : turn % choice.slots;
      return [{ unit, slot, staging: isRead ? turn % choice.staging : null, extents: isRead ? reads[unit] : [] }];
    });
    return { maxRows, transfers, onCpu: tiers.flatMap((_, unit) => (isOnCpu(unit, shift) ? unit : [])) };
  };
  return {
    tiers,
    slots: streams && !choice.inPlace ? new Array(choice.slots).fill(unitBytes) : [],
    staging: tiers.includes('disk') ? new Array(choice.staging).fill(stagingBytes) : [],
    schedules: [schedule(1, 0), schedule(2 ** 20, 1)],
  };
}

/** Aligned reads (but for the last bytes of a file) that cover the tensors, joined where they touch and cut in two where they are long. */
function extentsOf(tensors: readonly TensorInfo[], fileBytes: readonly number[], alignment: number): Extent[] {
  const ranges: { file: number; offset: number; end: number }[] = [];
  for (const { file, offset, bytes } of tensors.toSorted((a, b) => a.file - b.file || a.offset - b.offset)) {
    const begin = Math.floor(offset / alignment) * alignment;
    const end = Math.min(Math.ceil((offset + bytes) / alignment) * alignment, fileBytes[file]);
    const last = ranges.at(-1);
    if (last && last.file === file && begin <= last.end) last.end = Math.max(last.end, end);
    else ranges.push({ file, offset: begin, end });
  }
  let at = 0;
  return ranges.flatMap(({ file, offset, end }) => {
    const bytes = end - offset;
    const half = Math.ceil(bytes / 2 / alignment) * alignment;
    const first = at;
    at += Math.ceil(bytes / 4096) * 4096;
    if (half >= bytes) return [{ file, offset, bytes, at: first }];
    return [
      { file, offset, bytes: half, at: first },
      { file, offset: offset + half, bytes: bytes - half, at: first + half },
    ];
  });
}
