// Branch and bound over the codes of all units, largest first. A branch ends when its priced cost (relax.ts), or the rows that
// it has summed up so far, cannot come below the best placement by more than the tolerance.
import { Choice } from './choice';
import { DISK } from './cost';
import { DEVICE_BYTES, FIRST_ROW, HOST_BYTES, Problem } from './problem';
import { NEVER, Relaxation } from './relax';

/** A branch that can gain less is not followed. */
export const TOLERANCE: f64 = 0.001;

export class Search {
  private readonly problem: Problem;
  /** Codes of each group and their prices, cheapest first. */
  private codes: StaticArray<StaticArray<i32>> = [];
  private prices: StaticArray<StaticArray<f64>> = [];
  /** The cheapest that units from this depth on can be priced. */
  private rest: StaticArray<f64> = [];
  /** The least that units from this depth on add to each sum. */
  private least: StaticArray<f64> = [];
  /** What the prices give back for the capacities. */
  private readonly credit: f64;

  // The branch: sums, price, and widest of ring and staging before the unit of each depth.
  private sums: StaticArray<f64> = [];
  private cost: StaticArray<f64> = [];
  private slot: StaticArray<f64> = [];
  private stage: StaticArray<f64> = [];
  /** Index into `codes` of each depth's unit; -1: none tried. */
  private chosen: StaticArray<i32> = [];

  constructor(
    private readonly relaxation: Relaxation,
    private readonly best: Choice,
    /** Seconds that are reached already, elsewhere. */
    private readonly limit: f64,
  ) {
    const problem = relaxation.problem;
    const units = problem.units;
    this.problem = problem;
    this.codes = new StaticArray<StaticArray<i32>>(problem.groups.count);
    this.prices = new StaticArray<StaticArray<f64>>(problem.groups.count);
    for (let group = 0; group < problem.groups.count; group++) this.sortCodes(group);
    this.sums = new StaticArray<f64>((units + 1) * problem.width);
    this.least = new StaticArray<f64>((units + 1) * problem.width);
    this.cost = new StaticArray<f64>(units + 1);
    this.slot = new StaticArray<f64>(units + 1);
    this.stage = new StaticArray<f64>(units + 1);
    this.chosen = new StaticArray<i32>(units + 1);
    this.rest = new StaticArray<f64>(units + 1);
    for (let depth = units - 1; depth >= 0; depth--) {
      this.rest[depth] = this.rest[depth + 1] + this.prices[problem.groups.group[problem.groups.order[depth]]][0];
    }
    this.fillLeast();
    let credit = -relaxation.price[DEVICE_BYTES] * problem.deviceRoom - relaxation.price[HOST_BYTES] * problem.hostRoom;
    for (let i = FIRST_ROW; i < problem.width; i++) credit += relaxation.price[i] * problem.base[i];
    this.credit = credit;
  }

  private sortCodes(group: i32): void {
    const codes = this.problem.codes(group).slice<StaticArray<i32>>();
    const prices = this.relaxation.prices(group).slice<StaticArray<f64>>();
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i];
      const price = prices[i];
      let at = i;
      for (; at > 0 && prices[at - 1] > price; at--) {
        prices[at] = prices[at - 1];
        codes[at] = codes[at - 1];
      }
      prices[at] = price;
      codes[at] = code;
    }
    this.codes[group] = codes;
    this.prices[group] = prices;
  }

  private fillLeast(): void {
    const problem = this.problem;
    const width = problem.width;
    const one = new StaticArray<f64>(width);
    const group = new StaticArray<f64>(width);
    for (let depth = problem.units - 1; depth >= 0; depth--) {
      const unit = problem.groups.order[depth];
      if (
        depth === problem.units - 1 ||
        problem.groups.group[unit] !== problem.groups.group[problem.groups.order[depth + 1]]
      ) {
        const codes = this.codes[problem.groups.group[unit]];
        group.fill(NEVER);
        for (let i = 0; i < codes.length; i++) {
          one.fill(0);
          problem.add(one, 0, unit, codes[i], 1);
          for (let row = 0; row < width; row++) group[row] = Math.min(group[row], one[row]);
        }
      }
      for (let row = 0; row < width; row++) {
        this.least[depth * width + row] = this.least[(depth + 1) * width + row] + group[row];
      }
    }
  }

  /** Searches up to `limit` branches; true when no branch is left, that is: `best` is optimal within the tolerance. */
  run(limit: i32): bool {
    const problem = this.problem;
    for (let i = 0; i < problem.width; i++) this.sums[i] = problem.base[i];
    let depth = 0;
    this.chosen[0] = -1;
    for (let count = 0; depth >= 0; count++) {
      if (count >= limit) return false;
      if (depth === problem.units) {
        this.keep();
        depth--;
        continue;
      }
      const group = problem.groups.group[problem.groups.order[depth]];
      if (++this.chosen[depth] >= this.codes[group].length) {
        depth--;
        continue;
      }
      if (!this.enter(depth, group)) continue;
      depth++;
      if (depth < problem.units) this.chosen[depth] = this.firstChoice(depth) - 1;
    }
    return true;
  }

  /** Equal units take their codes in ascending order: the other orders are the same placement. */
  private firstChoice(depth: i32): i32 {
    const groups = this.problem.groups;
    const same = groups.group[groups.order[depth]] === groups.group[groups.order[depth - 1]];
    return same ? this.chosen[depth - 1] : 0;
  }

  /** Fills the next depth with the chosen code; false when nothing below can be better. */
  private enter(depth: i32, group: i32): bool {
    const problem = this.problem;
    const unit = problem.groups.order[depth];
    const index = this.chosen[depth];
    const code = unchecked(this.codes[group][index]);
    let slot = unchecked(this.slot[depth]);
    let stage = unchecked(this.stage[depth]);
    if (problem.streams(code)) slot = Math.max(slot, problem.costs.bytes[unit]);
    if (code === DISK) stage = Math.max(stage, problem.costs.staging[unit]);
    const cutoff = Math.min(this.best.seconds, this.limit) * (1 - TOLERANCE);
    const cost = unchecked(this.cost[depth] + this.prices[group][index]);
    if (cost + unchecked(this.rest[depth + 1]) + this.credit >= cutoff) return false;
    const width = problem.width;
    const from = depth * width;
    const to = from + width;
    for (let i = 0; i < width; i++) unchecked((this.sums[to + i] = this.sums[from + i]));
    problem.add(this.sums, to, unit, code, 1);
    if (!problem.fits(this.sums[to + DEVICE_BYTES], this.sums[to + HOST_BYTES], slot, stage)) return false;
    if (this.rowBound(to) >= cutoff) return false;
    this.cost[depth + 1] = cost;
    this.slot[depth + 1] = slot;
    this.stage[depth + 1] = stage;
    return true;
  }

  /** The objective when every unit below adds the least that it can to each row. */
  private rowBound(at: i32): f64 {
    const problem = this.problem;
    let total: f64 = 0;
    for (let class_ = 0; class_ < problem.classes; class_++) {
      const from = at + problem.row(class_);
      let most: f64 = 0;
      for (let row = 0; row < problem.rows; row++) {
        most = Math.max(most, unchecked(this.sums[from + row] + this.least[from + row]));
      }
      total += problem.weight[class_] * most;
    }
    return total;
  }

  private keep(): void {
    const problem = this.problem;
    const at = problem.units * problem.width;
    const seconds = problem.objective(this.sums, at);
    if (seconds >= this.best.seconds) return;
    const best = this.best;
    best.counts.fill(0);
    for (let depth = 0; depth < problem.units; depth++) {
      const group = problem.groups.group[problem.groups.order[depth]];
      best.counts[group * problem.kinds + this.codes[group][this.chosen[depth]]]++;
    }
    best.sum();
  }
}
