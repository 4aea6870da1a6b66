// The whole answer to a request: ring sizes are tried, each with its best placement, and judged by simulation.
import { blend, recount, spread } from './arrange';
import { Choice } from './choice';
import { Costs, DISK, HOST, RESIDENT } from './cost';
import { Reads } from './extents';
import { Groups } from './groups';
import { Improver } from './improve';
import { Placement, Placer } from './place';
import { Planned } from './planned';
import { Budgets, Problem, Widths } from './problem';
import { refine } from './refine';
import { Relaxation } from './relax';
import { FIRST_LAYERS, Request } from './request';
import { Schedule } from './schedule';
import { COMPUTE, CPU_BUSY, DISK_BUSY, LINK_BUSY, MEMORY_BUSY, Simulation } from './simulate';

/** Fewer buffers would make copies wait for kernels and kernels for copies. */
const FEWEST: i32 = 2;
/** Ring sizes worth trying, ascending; a larger one takes memory from resident units. */
const SIZES: StaticArray<i32> = [2, 3, 4, 5, 6, 8, 10, 12, 16];
/** A larger ring is not tried when the simulation is this close to the steady state. */
const CLOSE: f64 = 0.002;
/** Nor when so many sizes in a row were no better. */
const MISSES: i32 = 3;
/** Ring sizes whose plans are refined, where they are this close to the best: the simulation after that may order them otherwise. */
const FINALISTS: i32 = 2;
const HOPEFUL: f64 = 1.02;

/** The best plan for rings of one size. */
class Attempt {
  constructor(
    readonly planned: Planned,
    readonly bound: f64,
  ) {}
}

function compareSeconds(a: Attempt, b: Attempt): i32 {
  if (a.planned.seconds === b.planned.seconds) return 0;
  return a.planned.seconds < b.planned.seconds ? -1 : 1;
}

export class Planner {
  best: Planned | null = null;
  /** No placement with rings of as many buffers as the best one's has less weighted seconds in steady state. */
  bound: f64 = 0;

  private readonly attempts: Attempt[] = [];
  private readonly placer: Placer;
  private readonly reads: StaticArray<Reads | null>;

  constructor(private readonly request: Request) {
    this.placer = new Placer(request);
    this.reads = new StaticArray<Reads | null>(request.units);
  }

  run(): void {
    const request = this.request;
    let slots = request.fixedSlots > 0 ? request.fixedSlots : FEWEST;
    let staging = request.fixedStaging > 0 ? request.fixedStaging : FEWEST;
    if (request.given.length > 0) {
      const schedule = given(request, slots, staging, this.reads);
      if (schedule) this.keep(new Planned(schedule, Infinity));
      return;
    }
    const first = this.attempt(slots, staging);
    if (!first) return;
    if (request.fixedSlots === 0 && request.hasDevice) slots = this.grow(slots, staging, true);
    if (request.fixedStaging === 0 && this.best!.usesDisk()) staging = this.grow(slots, staging, false);
    if (this.fixed || request.kind === FIRST_LAYERS) return;
    this.attempts.sort(compareSeconds);
    for (let i = 0; i < min(FINALISTS, this.attempts.length); i++) {
      const planned = this.attempts[i].planned;
      // No exchange makes a pass faster than its steady state.
      if (planned.seconds < Infinity && planned.steadyState < this.best!.seconds) this.finish(this.attempts[i]);
    }
  }

  /** What is worth doing only for a plan that may become the answer. */
  private finish(attempt: Attempt): void {
    const planned = attempt.planned;
    const wider = this.useSpare(planned, planned.schedule.choice.problem.budgets);
    const refined = refine(wider && wider.seconds < planned.seconds ? wider : planned);
    if (this.keep(refined)) this.bound = attempt.bound;
  }

  /** Rings that are fixed are there to be compared: the placement is then the best in steady state, and nothing else. */
  private get fixed(): bool {
    return this.request.fixedSlots > 0 && this.request.fixedStaging > 0;
  }

  /** Tries larger rings while they help; returns the best size. */
  private grow(slots: i32, staging: i32, ofSlots: bool): i32 {
    let size = ofSlots ? slots : staging;
    let misses = 0;
    for (let i = 0; i < SIZES.length && misses < MISSES; i++) {
      const more = SIZES[i];
      const best = this.best!;
      const transfers = this.mostTransfers(best, ofSlots);
      if (more <= size || more > transfers) continue;
      if (best.seconds <= best.steadyState * (1 + CLOSE)) break;
      const before = best.seconds;
      const tried = ofSlots ? this.attempt(more, staging) : this.attempt(slots, more);
      if (!tried) break;
      if (this.best!.seconds < before) size = more;
      misses = this.best!.seconds < before * (1 - CLOSE) ? 0 : misses + 1;
    }
    return size;
  }

  private mostTransfers(planned: Planned, ofSlots: bool): i32 {
    let most = 0;
    for (let class_ = 0; class_ < planned.schedule.classes.length; class_++) {
      const transfers = planned.schedule.classes[class_];
      let count = 0;
      for (let i = 0; i < transfers.unit.length; i++) if (ofSlots || transfers.staging[i] >= 0) count++;
      most = max(most, count);
    }
    return most;
  }

  /** The best placement for these rings; false when nothing fits. */
  private attempt(slots: i32, staging: i32): bool {
    const request = this.request;
    const known = this.best ? this.best!.schedule.codes : null;
    if (request.kind === FIRST_LAYERS) {
      const schedule = firstLayers(request, slots, staging, this.reads);
      if (schedule) this.keep(new Planned(schedule, Infinity));
      return schedule != null;
    }
    const budgets = new Budgets(slots, staging, request.deviceBytes, request.hostBytes);
    const found = this.placer.place(budgets, known);
    if (!found.choice) return false;
    const planned = this.arrange(found);
    this.attempts.push(new Attempt(planned, found.bound));
    if (this.keep(planned)) this.bound = found.bound;
    return true;
  }

  /** The better of two ways to say which units of a group go where. */
  private arrange(found: Placement): Planned {
    const choice = found.choice!;
    const apart = this.settle(found, spread(choice), this.limit);
    if (this.fixed || choice.problem.groups.count === 1) return apart;
    const blended = this.settle(found, blend(choice), Math.min(apart.seconds, this.limit));
    return blended.seconds < apart.seconds ? blended : apart;
  }

  /** The codes made to fit the true sizes of all units, with what room they leave put to use. */
  private settle(found: Placement, codes: StaticArray<i32>, limit: f64): Planned {
    const problem = this.placer.exact(found.choice!.problem);
    const choice = new Choice(problem);
    choice.set(codes);
    const relaxation = new Relaxation(problem);
    relaxation.adopt(found.prices);
    const improver = new Improver(choice, relaxation);
    if (!choice.fits && !improver.repair()) choice.set(spread(found.choice!));
    improver.settle();
    return new Planned(new Schedule(choice, recount(codes, choice), this.reads), limit);
  }

  /** What is slower than this cannot become the answer. */
  private get limit(): f64 {
    return this.best ? this.best!.seconds * HOPEFUL : Infinity;
  }

  private keep(planned: Planned): bool {
    if (this.best && planned.seconds >= this.best!.seconds) return false;
    this.best = planned;
    return true;
  }

  /** Slots that take smaller units than the widest are smaller: what they leave may hold more units. */
  private useSpare(planned: Planned, budgets: Budgets): Planned | null {
    const request = this.request;
    const choice = planned.schedule.choice;
    const spareSlots = choice.problem.slotBytes(choice.slot) - planned.schedule.slotBytes;
    const spareStaging = choice.problem.stagingBytes(choice.stage) - planned.schedule.stagingBytes;
    if (spareSlots < smallest(request) && spareStaging < smallest(request)) return null;
    const device = request.deviceBytes + spareSlots;
    const wider = new Budgets(budgets.slots, budgets.staging, device, request.hostBytes + spareStaging);
    const found = this.placer.place(wider, planned.schedule.codes);
    if (!found.choice) return null;
    const better = this.arrange(found);
    return better.fits ? better : null;
  }
}

function smallest(request: Request): f64 {
  let least: f64 = Infinity;
  for (let unit = 0; unit < request.units; unit++) least = Math.min(least, request.unitBytes[unit]);
  return least;
}

/** What a split by layers comes to: the first units on the device, the next in RAM, the last on disk. */
function firstLayers(request: Request, slots: i32, staging: i32, reads: StaticArray<Reads | null>): Schedule | null {
  const problem = problemOf(request, new Budgets(slots, staging, request.deviceBytes, request.hostBytes));
  const codes = new StaticArray<i32>(request.units);
  let all: f64 = 0;
  let widest: f64 = 0;
  let stage: f64 = 0;
  for (let unit = 0; unit < request.units; unit++) {
    all += request.unitBytes[unit];
    widest = Math.max(widest, request.unitBytes[unit]);
    stage = Math.max(stage, problem.costs.staging[unit]);
  }
  let device = request.hasDevice ? request.deviceBytes : request.hostBytes;
  if (all > device) device -= request.hasDevice ? problem.slotBytes(widest) : problem.stagingBytes(stage);
  let host = request.hasDevice ? request.hostBytes : 0;
  if (all - Math.max(0, device) > host) host -= problem.stagingBytes(stage);
  for (let unit = 0; unit < request.units; unit++) {
    const bytes = request.unitBytes[unit];
    if (device >= bytes) {
      codes[unit] = RESIDENT;
      device -= bytes;
    } else if (host >= bytes) {
      codes[unit] = HOST;
      device = 0;
      host -= bytes;
    } else {
      codes[unit] = DISK;
      device = 0;
      host = 0;
    }
  }
  const choice = new Choice(problem);
  return choice.set(codes) && choice.fits ? new Schedule(choice, codes, reads) : null;
}

/** The request's own placement, whether it fits or not; null where a unit may not be where it says. */
function given(request: Request, slots: i32, staging: i32, reads: StaticArray<Reads | null>): Schedule | null {
  const choice = new Choice(problemOf(request, new Budgets(slots, staging, Infinity, Infinity)));
  return choice.set(request.given) ? new Schedule(choice, request.given, reads) : null;
}

/** With rings of any width. */
function problemOf(request: Request, budgets: Budgets): Problem {
  const costs = new Costs(request, 0);
  return new Problem(costs, new Groups(costs), budgets, new Widths(0, Infinity, 0, Infinity));
}

/** The resource that a pass waits for, as simulate.ts numbers them. */
export function binding(request: Request, pass: Simulation): i32 {
  const busy = pass.busy;
  const chain = busy[COMPUTE] + busy[CPU_BUSY] + pass.aside;
  const shared = request.hasDevice && !request.overlaps ? busy[COMPUTE] : 0;
  let bound = busy[CPU_BUSY] > busy[COMPUTE] ? CPU_BUSY : COMPUTE;
  let most = chain;
  if (busy[LINK_BUSY] + shared > most && busy[LINK_BUSY] > 0) {
    most = busy[LINK_BUSY] + shared;
    bound = busy[LINK_BUSY] >= shared ? LINK_BUSY : COMPUTE;
  }
  if (busy[DISK_BUSY] > most) {
    most = busy[DISK_BUSY];
    bound = DISK_BUSY;
  }
  return busy[MEMORY_BUSY] > most ? MEMORY_BUSY : bound;
}
