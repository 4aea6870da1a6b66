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
import { NtxError } from '../errors.js';
import type { Model } from '../model/index.js';
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

/** A recorded pass. Segment 0 needs no transfer; segment i + 1 begins with the unit of transfer i. */
export interface Recording {
  readonly maxRows: number;
  readonly list: CommandList;
  readonly transfers: readonly Transfer[];
}

/** What passes of a plan are bound to. */
export interface PassMemory {
  readonly weights: ReadonlyMap<string, BoundWeight>;
  readonly buffers: ReadonlyMap<string, DeviceRange>;
  readonly slots: readonly DeviceMemory[];
  readonly staging: readonly HostMemory[];
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
  for (const { maxRows, transfers, onCpu } of plan.schedules) {
    if (onCpu.length > 0) {
      throw new NtxError(
        'unsupported',
        'the plan computes units on the CPU beside a device',
        'plan without host-compute',
      );
    }
    checkTransfers(model.units, plan, transfers);
    const known = recordings.find((recording) => JSON.stringify(recording.transfers) === JSON.stringify(transfers));
    if (known) recordings.push({ ...known, maxRows });
    else recordings.push({ maxRows, transfers, list: record(backend, model, transfers, memory, sizes) });
  }
  return recordings;
}

function record(
  backend: Backend,
  model: Model,
  transfers: readonly Transfer[],
  memory: PassMemory,
  sizes: PassSizes,
): CommandList {
  const weights = new Map(memory.weights);
  const streamed = new Set<number>();
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
    streamed.add(transfer.unit);
  }
  const ops = [...model.prologue];
  const cuts: number[] = [];
  model.units.forEach((unit, index) => {
    if (streamed.has(index)) cuts.push(ops.length);
    ops.push(...unit.ops);
  });
  return backend.record(ops, { weights, buffers: memory.buffers, sizes }, cuts);
}

function checkTransfers(units: readonly Unit[], plan: ExecutablePlan, transfers: readonly Transfer[]): void {
  const wrong = (what: string) => new NtxError('internal', `the plan ${what}`, 'report this');
  const streamed = plan.tiers.flatMap((tier, unit) => (tier === 'device' ? [] : [unit]));
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
