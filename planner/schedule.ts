// From what goes where to the order in which it moves, and into which slots.

import { Choice } from './choice';
import { DISK, HOST, modeOf, ON_CPU, ON_DEVICE } from './cost';
import { Reads, unitReads } from './extents';

/** Who takes which of a ring's buffers; -1: the transfer takes none. */
class Ring {
  /** Bytes of each buffer. */
  bytes: f64[] = [];

  constructor(private readonly most: i32) {}

  /**
   * Buffers for transfers of these bytes. The cycle is cut into as few blocks as the ring allows, of equal length but for
   * one; a buffer is used once a block. So even across the end of a pass a buffer is used again only after a whole block:
   * no assignment keeps all uses of all buffers further apart.
   */
  assign(wanted: f64[]): i32[] {
    const taken: i32[] = [];
    const count = wanted.length;
    if (count === 0) return taken;
    const blocks = (count + this.most - 1) / this.most;
    for (let block = 0, next = 0; block < blocks; block++) {
      const end = <i32>((<i64>(block + 1) * count) / blocks);
      for (let buffer = 0; next < end; next++, buffer++) {
        if (buffer === this.bytes.length) this.bytes.push(0);
        this.bytes[buffer] = Math.max(this.bytes[buffer], wanted[next]);
        taken.push(buffer);
      }
    }
    return taken;
  }
}

/** What passes of one class move, in the order in which they use it. */
export class Transfers {
  unit: i32[] = [];
  /** -1: none. */
  slot: i32[] = [];
  staging: i32[] = [];
}

/** One placement with its order: what the streamer executes and simulate.ts plays through. */
export class Schedule {
  slots: f64[] = [];
  staging: f64[] = [];
  readonly classes: Transfers[] = [];

  constructor(
    readonly choice: Choice,
    /** A code for each unit, as many of each as `choice` has. */
    readonly codes: StaticArray<i32>,
    /** Reads of each unit, null until a schedule has the unit on disk; the same for all schedules of a request. */
    readonly reads: StaticArray<Reads | null>,
  ) {
    const problem = choice.problem;
    for (let unit = 0; unit < problem.units; unit++) {
      if (codes[unit] === DISK && !reads[unit]) reads[unit] = unitReads(problem.costs.request, unit);
    }
    const slots = new Ring(problem.budgets.slots);
    const staging = new Ring(problem.budgets.staging);
    for (let class_ = 0; class_ < problem.classes; class_++) this.classes.push(this.order(class_, slots, staging));
    this.slots = slots.bytes;
    this.staging = staging.bytes;
  }

  private order(class_: i32, slots: Ring, staging: Ring): Transfers {
    const problem = this.choice.problem;
    const transfers = new Transfers();
    const bytes: f64[] = [];
    const staged: f64[] = [];
    for (let unit = 0; unit < problem.units; unit++) {
      const code = this.codes[unit];
      const mode = modeOf(code, class_);
      if (mode === ON_DEVICE || mode === ON_CPU) continue;
      transfers.unit.push(unit);
      bytes.push(problem.costs.bytes[unit]);
      if (code === DISK) staged.push(this.reads[unit]!.staging);
    }
    const slot = problem.costs.hasDevice ? slots.assign(bytes) : [];
    const stage = staging.assign(staged);
    for (let i = 0, from = 0; i < transfers.unit.length; i++) {
      transfers.slot.push(slot.length > 0 ? slot[i] : -1);
      transfers.staging.push(this.codes[transfers.unit[i]] === DISK ? stage[from++] : -1);
    }
    return transfers;
  }

  /** Bytes that the units of a tier take. */
  unitBytes(resident: bool): f64 {
    const problem = this.choice.problem;
    let total: f64 = 0;
    for (let unit = 0; unit < problem.units; unit++) {
      const code = this.codes[unit];
      if (resident ? code === 0 : code >= HOST) total += problem.costs.bytes[unit];
    }
    return total;
  }

  get slotBytes(): f64 {
    return sum(this.slots);
  }

  get stagingBytes(): f64 {
    return sum(this.staging);
  }
}

function sum(values: f64[]): f64 {
  let total: f64 = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
