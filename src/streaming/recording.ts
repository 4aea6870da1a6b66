// The passes of a plan as recordings: ops are cut in front of every unit that is streamed, and bound to where it will be.
import type {
  Backend,
  BoundWeight,
  CommandList,
  DeviceMemory,
  DeviceRange,
  HostMemory,
  PassSizes,
} from '../backend/backend.js';
import type { Op } from '../backend/ops.js';
import { NtxError } from '../errors.js';
import { isFeedForward, type Model } from '../model/index.js';
import type { Unit } from '../model/unit.js';
import type { Plan, Schedule, Transfer } from '../placement/plan.js';
import { bind, locate, pack } from './layout.js';

/** What of a plan is executed; the rest of it is prediction. */
export interface ExecutablePlan extends Pick<Plan, 'tiers' | 'slots' | 'staging'> {
  readonly schedules: readonly Pick<Schedule, 'maxRows' | 'transfers' | 'onCpu'>[];
}

/** All units on the device. */
export function residentPlan({ units }: Pick<Model, 'units'>): ExecutablePlan {
  return {
    tiers: units.map(() => 'device'),
    slots: [],
    staging: [],
    schedules: [{ maxRows: Number.POSITIVE_INFINITY, transfers: [], onCpu: [] }],
  };
}

/** A part of a pass that is submitted by itself, and what comes before it. */
export interface PassSegment {
  /** Brings the unit that it begins with. */
  readonly transfer: Transfer | null;
  /** Index of the unit that the CPU computes, between the segment before and this one. */
  readonly onCpu: number | null;
}

/** A recorded pass. */
export interface Recording {
  readonly maxRows: number;
  readonly list: CommandList;
  /** Those of the list. Nothing comes before the first. */
  readonly segments: readonly PassSegment[];
  /** Of the segments, in their order. */
  readonly transfers: readonly Transfer[];
}

/** What passes of a plan are bound to. */
export interface PassMemory {
  readonly weights: ReadonlyMap<string, BoundWeight>;
  readonly buffers: ReadonlyMap<string, DeviceRange>;
  readonly slots: readonly DeviceMemory[];
  readonly staging: readonly HostMemory[];
  /** Units that are copied from where they are. */
  readonly pinned: ReadonlyMap<number, HostMemory>;
}

/** A recording for each schedule of the plan; schedules that move the same share one. Throws NtxError for a plan that cannot be run. */
export function recordPlan(
  backend: Backend,
  model: Model,
  plan: ExecutablePlan,
  memory: PassMemory,
  sizes: PassSizes,
): Recording[] {
  const recordings: Recording[] = [];
  const lists = new Map<string, CommandList>();
  try {
    for (const schedule of plan.schedules) {
      const { maxRows, transfers, onCpu } = schedule;
      checkOnCpu(model.units, plan, onCpu);
      checkTransfers(model.units, plan, transfers, onCpu);
      const unpinned = transfers.find(({ unit, staging }) => staging === null && !memory.pinned.has(unit));
      if (unpinned) throw wrong(`streams ${model.units[unpinned.unit].name}, which only the CPU can read`);
      const { ops, cuts, breaks, segments } = segmentsOf(model, transfers, onCpu);
      const record = () => {
        const bindings = { weights: streamedWeights(model, transfers, memory), buffers: memory.buffers, sizes };
        return backend.record(ops, bindings, cuts, breaks);
      };
      const list = lists.get(movesOf(schedule)) ?? record();
      lists.set(movesOf(schedule), list);
      recordings.push({ maxRows, transfers, segments, list });
    }
  } catch (error) {
    for (const list of lists.values()) list.dispose();
    throw error;
  }
  return recordings;
}

/** The same for schedules that share a recording. */
function movesOf({ transfers, onCpu }: Pick<Schedule, 'transfers' | 'onCpu'>): string {
  return JSON.stringify([transfers, onCpu]);
}

/** The ops of each recording that a plan takes. */
export function recordedOps(model: Model, schedules: ExecutablePlan['schedules']): Op[][] {
  const different = new Map(schedules.map((schedule) => [movesOf(schedule), schedule]));
  return [...different.values()].map(({ onCpu }) => [
    ...model.prologue,
    ...model.units.flatMap(({ ops }, unit) => (onCpu.includes(unit) ? [] : ops)),
  ]);
}

/** The weights as passes find them: those that are streamed where they will be. */
function streamedWeights(
  model: Model,
  transfers: readonly Transfer[],
  memory: PassMemory,
): ReadonlyMap<string, BoundWeight> {
  const weights = new Map(memory.weights);
  for (const transfer of transfers) {
    const { tensors } = model.units[transfer.unit];
    const { slot, staging, extents } = transfer;
    const from = slot === null ? memory.staging[staging!] : memory.slots[slot];
    for (const { tensor, at } of slot === null ? locate(tensors, extents) : pack(tensors).placed) {
      // A tied output head: products read what is streamed, and embed the table.
      const table = weights.get(tensor.name)?.range;
      weights.set(tensor.name, {
        ...bind(tensor, { memory: from, offset: at, bytes: tensor.bytes }),
        ...(table && { table }),
      });
    }
  }
  return weights;
}

/**
 * The ops of the device, cut in front of units that are streamed, around those that the CPU computes, and behind those that are
 * read where kernels take them from.
 */
function segmentsOf({ prologue, units }: Model, transfers: readonly Transfer[], onCpu: readonly number[]) {
  const ops = [...prologue];
  const cuts: number[] = [];
  const breaks: number[] = [];
  const segments: PassSegment[] = [{ transfer: null, onCpu: null }];
  let before: number | null = null;
  let inPlace = false;
  units.forEach((unit, index) => {
    if (onCpu.includes(index)) {
      if (before !== null) throw wrong(`computes ${units[before].name} and ${unit.name} at once on the CPU`);
      before = index;
      return;
    }
    const transfer = transfers.find((each) => each.unit === index) ?? null;
    if (transfer !== null || before !== null || inPlace) {
      cuts.push(ops.length);
      if (before !== null) breaks.push(ops.length);
      segments.push({ transfer, onCpu: before });
    }
    before = null;
    // A staging buffer is to be free when its unit has been computed: an output head behind it takes as long as a read.
    inPlace = transfer?.slot === null;
    ops.push(...unit.ops);
  });
  if (before !== null) throw wrong('ends a pass on the CPU');
  return { ops, cuts, breaks, segments };
}

const wrong = (what: string) => new NtxError('internal', `the plan ${what}`, 'report this');

/** The CPU computes whole feed-forward units: their hidden states are all that it needs, and all that it changes. */
function checkOnCpu(units: readonly Unit[], plan: ExecutablePlan, onCpu: readonly number[]): void {
  for (const unit of onCpu) {
    const { name } = units[unit];
    if (plan.tiers[unit] !== 'host-compute') throw wrong(`computes ${name} on the CPU from another tier`);
    if (!isFeedForward(units[unit])) throw wrong(`computes ${name} on the CPU`);
  }
}

function checkTransfers(
  units: readonly Unit[],
  plan: ExecutablePlan,
  transfers: readonly Transfer[],
  onCpu: readonly number[],
): void {
  const streamed = plan.tiers.flatMap((tier, unit) => (tier === 'device' || onCpu.includes(unit) ? [] : [unit]));
  if (streamed.join() !== transfers.map(({ unit }) => unit).join()) {
    throw wrong('does not transfer every unit outside of the device once, in the order of the pass');
  }
  for (const { unit, slot, staging } of transfers) {
    const { name, tensors } = units[unit];
    if ((plan.tiers[unit] === 'disk') !== (staging !== null)) throw wrong(`moves ${name} from another tier`);
    if (slot !== null && !(pack(tensors).bytes <= plan.slots[slot])) throw wrong(`moves ${name} into too small a slot`);
    if (staging !== null && !(staging in plan.staging)) throw wrong(`has no staging buffer ${staging}`);
    if (slot === null && staging === null) throw wrong(`moves ${name} nowhere`);
  }
}
