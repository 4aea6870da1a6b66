// The best placement for given ring sizes. Classes that copy nothing let the CPU have the memory to itself, so which classes
// are quiet is tried out; each trial is bounded first and most end there.
import { Choice } from './choice';
import { Costs } from './cost';
import { Groups } from './groups';
import { Improver } from './improve';
import { Problem, Widths } from './problem';
import { NEVER, Relaxation } from './relax';
import { Request } from './request';
import { Search, TOLERANCE } from './search';

/** All sets of quiet classes are tried up to this many classes; beyond, only the first so many. */
const ALL_QUIET: i32 = 2;
/** Placements that a relaxation mixes. */
const MIXTURE: i32 = 400;
/** Branches of a search; up to EXHAUSTED units it goes on until nothing is left. */
const BRANCHES: i32 = 2000;
const EXHAUSTED: i32 = 14;
const ALL_BRANCHES: i32 = 1 << 26;
/** A trial that can gain less is not followed, where a search would not end anyway. */
const LARGE_TOLERANCE: f64 = 0.004;
/** The search keeps a vector of sums for each unit of a branch. */
const LARGEST_SEARCH: i32 = 2048;

export class Placement {
  /** No placement costs less than this. */
  bound: f64 = NEVER;
  choice: Choice | null = null;
}

/** Ring widths that are told apart: each has its own relaxation, in which the room for the ring is exact. */
const WIDTHS: i32 = 6;

/** Rings of certain widths, with certain classes quiet. */
class Trial {
  constructor(
    readonly costs: Costs,
    readonly groups: Groups,
    readonly widths: Widths,
  ) {}
}

export class Placer {
  private readonly costs: Costs[] = [];
  private readonly groups: Groups[] = [];
  /** The last prices of a relaxation: good prices for one trial bound the others well enough to order them. */
  private prices: StaticArray<f64> | null = null;

  constructor(private readonly request: Request) {
    const classes = request.classes;
    const sets = classes <= ALL_QUIET ? 1 << classes : classes + 1;
    for (let set = 0; set < sets; set++) {
      const quiet = classes <= ALL_QUIET ? set : (1 << set) - 1;
      if (quiet !== 0 && !request.hasDevice) break;
      const costs = new Costs(request, quiet);
      this.costs.push(costs);
      this.groups.push(new Groups(costs));
    }
  }

  /** The least weighted seconds with rings of `slots` and `staging`; `choice` is null when nothing fits. */
  place(slots: i32, staging: i32, deviceBytes: f64, hostBytes: f64, known: StaticArray<i32> | null): Placement {
    const found = new Placement();
    const trials: Trial[] = [];
    for (let i = 0; i < this.costs.length; i++) this.addTrials(trials, this.costs[i], this.groups[i]);
    const open: Relaxation[] = [];
    for (let i = 0; i < trials.length; i++) {
      const trial = trials[i];
      const problem = new Problem(trial.costs, trial.groups, slots, staging, deviceBytes, hostBytes, trial.widths);
      if (problem.deviceRoom >= 0 && problem.hostRoom >= 0 && isPossible(problem)) open.push(new Relaxation(problem));
    }
    const gain = this.request.units <= EXHAUSTED ? TOLERANCE : LARGE_TOLERANCE;
    while (open.length > 0) {
      const next = this.mostPromising(open);
      const relaxation = open[next];
      open.splice(next, 1);
      const limit = found.choice ? found.choice!.seconds : NEVER;
      if (relaxation.value < limit * (1 - gain)) {
        relaxation.solve(MIXTURE);
        this.prices = relaxation.price;
        if (relaxation.value < limit * (1 - gain)) {
          follow(relaxation, found, known);
          continue;
        }
      }
      found.bound = Math.min(found.bound, relaxation.value);
    }
    return found;
  }

  /** The one of the least bound; all are bounded by the last prices first. */
  private mostPromising(open: Relaxation[]): i32 {
    const prices = this.prices;
    let least = 0;
    for (let i = 0; i < open.length; i++) {
      if (prices) open[i].tryPrices(prices);
      if (open[i].value < open[least].value) least = i;
    }
    return least;
  }

  /** Nothing streams; or the widest slot is one of the sizes of units, and nothing or one of their sizes is staged. */
  private addTrials(trials: Trial[], costs: Costs, groups: Groups): void {
    trials.push(new Trial(costs, groups, new Widths(0, -1, 0, -1)));
    const slots = windows(costs.bytes, costs.hasDevice ? WIDTHS : 1);
    const stages = windows(costs.staging, WIDTHS);
    const quiet = costs.quiet;
    if (quiet === (1 << costs.classes) - 1) return;
    for (let slot = 0; slot + 1 < slots.length; slot += 2) {
      if (costs.hasDevice) trials.push(new Trial(costs, groups, new Widths(slots[slot], slots[slot + 1], 0, -1)));
      for (let stage = 0; stage + 1 < stages.length && quiet === 0; stage += 2) {
        trials.push(
          new Trial(costs, groups, new Widths(slots[slot], slots[slot + 1], stages[stage], stages[stage + 1])),
        );
      }
    }
  }
}

/** Pairs of least and most that part the distinct values into up to `limit` windows. */
function windows(values: StaticArray<f64>, limit: i32): f64[] {
  const sorted = values.slice<Array<f64>>();
  sorted.sort();
  const distinct: f64[] = [];
  for (let i = 0; i < sorted.length; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) distinct.push(sorted[i]);
  const count = min(limit, distinct.length);
  const pairs: f64[] = [];
  for (let window = 0, from = 0; window < count; window++) {
    const to = ((window + 1) * distinct.length) / count;
    pairs.push(distinct[from]);
    pairs.push(distinct[to - 1]);
    from = to;
  }
  return pairs;
}

function isPossible(problem: Problem): bool {
  for (let group = 0; group < problem.groups.count; group++) if (problem.codes(group).length === 0) return false;
  return true;
}

/** Makes the relaxation's placement whole, improves it, and searches for a better one. */
function follow(relaxation: Relaxation, found: Placement, known: StaticArray<i32> | null): void {
  const problem = relaxation.problem;
  const limit = found.choice ? found.choice!.seconds : NEVER;
  const best = new Choice(problem);
  best.take(relaxation.rounded);
  const improver = new Improver(best, relaxation);
  if (!improver.repair()) best.seconds = NEVER;
  const other = new Choice(problem);
  if (known && other.set(known) && other.fits && other.seconds < best.seconds) best.take(other);
  if (best.seconds < NEVER) improver.improve();
  let bound = relaxation.value;
  if (problem.units <= LARGEST_SEARCH) {
    const search = new Search(relaxation, best, limit);
    const done = search.run(problem.units <= EXHAUSTED ? ALL_BRANCHES : BRANCHES);
    if (done) bound = Math.max(bound, Math.min(limit, best.seconds) * (1 - TOLERANCE));
  }
  if (best.seconds < limit) found.choice = best;
  found.bound = Math.min(found.bound, bound);
}
