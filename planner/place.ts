// The best placement for given ring sizes. Classes that copy nothing let the CPU have the memory to itself, so which classes
// are quiet is tried out; each trial is bounded first and most end there.
import { Choice } from './choice';
import { Costs } from './cost';
import { Groups } from './groups';
import { Improver } from './improve';
import { Budgets, Problem, Widths } from './problem';
import { NEVER, Relaxation } from './relax';
import { Request } from './request';
import { Search, TOLERANCE } from './search';
import { makeEqual, roundingShare } from './similar';

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
  /** The prices at which `choice` was found. */
  prices: StaticArray<f64> = [];
}

/** Ring widths that are told apart: each has its own relaxation, in which the room for the ring is exact. */
const WIDTHS: i32 = 6;

/** The costs of a set of quiet classes. */
class Variant {
  constructor(
    readonly costs: Costs,
    readonly groups: Groups,
    /** For placements: similar units made equal where there are too many groups. */
    readonly upper: Costs,
    readonly upperGroups: Groups,
    /** For bounds, then; else null. */
    readonly lower: Costs | null,
  ) {}
}

function variantOf(request: Request, quiet: i32, share: f64): Variant {
  const costs = new Costs(request, quiet);
  const groups = new Groups(costs);
  if (share === 0) return new Variant(costs, groups, costs, groups, null);
  const upper = new Costs(request, quiet);
  makeEqual(upper, groups, share, true);
  const lower = new Costs(request, quiet);
  makeEqual(lower, groups, share, false);
  return new Variant(costs, groups, upper, new Groups(upper), lower);
}

export class Placer {
  private readonly variants: Variant[] = [];
  /** The last prices of a relaxation: good prices for one trial bound the others well enough to order them. */
  private prices: StaticArray<f64> | null = null;

  constructor(private readonly request: Request) {
    const classes = request.classes;
    const sets = classes <= ALL_QUIET ? 1 << classes : classes + 1;
    const costs = new Costs(request, 0);
    const share = request.units <= EXHAUSTED ? 0 : roundingShare(costs, new Groups(costs));
    for (let set = 0; set < sets; set++) {
      const quiet = classes <= ALL_QUIET ? set : (1 << set) - 1;
      if (quiet !== 0 && !request.hasDevice) break;
      this.variants.push(variantOf(request, quiet, share));
    }
  }

  /** The problem of the same quiet classes and rings with the true cost of every unit. */
  exact(problem: Problem): Problem {
    let at = 0;
    while (this.variants[at].costs.quiet !== problem.costs.quiet) at++;
    const variant = this.variants[at];
    return new Problem(variant.costs, variant.groups, problem.budgets, new Widths(0, Infinity, 0, Infinity));
  }

  /** The least weighted seconds within the budgets; `choice` is null when nothing fits. */
  place(budgets: Budgets, known: StaticArray<i32> | null): Placement {
    const found = new Placement();
    const open: Relaxation[] = [];
    const lower: Relaxation[] = [];
    for (let i = 0; i < this.variants.length; i++) {
      const variant = this.variants[i];
      addTrials(open, variant.upper, variant.upperGroups, budgets);
      if (variant.lower) addTrials(lower, variant.lower!, new Groups(variant.lower!), budgets);
    }
    const gain = this.request.units <= EXHAUSTED ? TOLERANCE : LARGE_TOLERANCE;
    while (open.length > 0) {
      const hopeless = (found.choice ? found.choice!.seconds : NEVER) * (1 - gain);
      const next = this.mostPromising(open, hopeless);
      const relaxation = open[next];
      if (relaxation.value >= hopeless) {
        // So are all others.
        found.bound = Math.min(found.bound, relaxation.value);
        break;
      }
      open.splice(next, 1);
      relaxation.solve(MIXTURE);
      this.prices = relaxation.price;
      if (relaxation.value < hopeless) follow(relaxation, found, known);
      else found.bound = Math.min(found.bound, relaxation.value);
    }
    if (lower.length > 0) found.bound = this.leastBound(lower);
    return found;
  }

  /** The least bound of all, each solved until the least is one that is solved. */
  private leastBound(open: Relaxation[]): f64 {
    let next = this.mostPromising(open, NEVER);
    while (!open[next].solved) {
      open[next].solve(MIXTURE);
      this.prices = open[next].price;
      next = this.mostPromising(open, NEVER);
    }
    return open[next].value;
  }

  /** The one of the least bound; all that are below `hopeless` are bounded by the last prices first. */
  private mostPromising(open: Relaxation[], hopeless: f64): i32 {
    const prices = this.prices;
    let least = 0;
    for (let i = 0; i < open.length; i++) {
      if (prices && open[i].value < hopeless) open[i].tryPrices(prices);
      if (open[i].value < open[least].value) least = i;
    }
    return least;
  }
}

/** Nothing streams; or the widest slot is one of the sizes of units, and nothing or one of their sizes is staged. */
function addTrials(trials: Relaxation[], costs: Costs, groups: Groups, budgets: Budgets): void {
  addTrial(trials, costs, groups, budgets, new Widths(0, -1, 0, -1));
  const slots = windows(costs.bytes, costs.hasDevice ? WIDTHS : 1);
  const stages = windows(costs.staging, WIDTHS);
  if (costs.quiet === (1 << costs.classes) - 1) return;
  for (let slot = 0; slot + 1 < slots.length; slot += 2) {
    if (costs.hasDevice) addTrial(trials, costs, groups, budgets, new Widths(slots[slot], slots[slot + 1], 0, -1));
    for (let stage = 0; stage + 1 < stages.length && costs.quiet === 0; stage += 2) {
      const widths = new Widths(slots[slot], slots[slot + 1], stages[stage], stages[stage + 1]);
      addTrial(trials, costs, groups, budgets, widths);
    }
  }
}

function addTrial(trials: Relaxation[], costs: Costs, groups: Groups, budgets: Budgets, widths: Widths): void {
  const problem = new Problem(costs, groups, budgets, widths);
  if (problem.deviceRoom < 0 || problem.hostRoom < 0) return;
  for (let group = 0; group < groups.count; group++) if (problem.codes(group).length === 0) return;
  trials.push(new Relaxation(problem));
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
  if (best.seconds < limit) {
    found.choice = best;
    found.prices = relaxation.price;
  }
  found.bound = Math.min(found.bound, bound);
}
