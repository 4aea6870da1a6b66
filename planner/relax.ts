// A bound on every placement: capacities and "the period is the largest row" are priced instead of enforced (Lagrangian
// relaxation). For any prices the cheapest choice of each unit, taken alone, costs no more than the best placement. The best
// prices come from column generation: master.ts prices mixtures of the placements that were cheapest so far.

import { Choice } from './choice';
import { DISK, FROM_DISK, HOST, LINKED, ON_CPU, ON_DEVICE, RESIDENT } from './cost';
import { Master } from './master';
import { DEVICE_BYTES, FIRST_ROW, HOST_BYTES, Problem } from './problem';

/** More than any sum of seconds (wire.ts bounds them), and small enough to add up. */
export const NEVER: f64 = 1e100;

/** The prices are good enough when the bound is this close to the mixture that proves no better one is possible. */
const CLOSE: f64 = 1e-4;
const PIVOTS: i32 = 200;

export class Relaxation {
  /** Prices of the vector of sums: seconds a byte, and for the rows of a class shares that add up to its weight. */
  price: StaticArray<f64>;
  /** The bound. */
  value: f64 = -NEVER;
  solved: bool = false;
  /** Code of each group in the relaxed optimum at `price`. */
  private readonly codes: StaticArray<i32>;

  private cheapest: f64 = 0;
  private masked: f64 = 0;
  private readonly violation: StaticArray<f64>;
  /** Codes of each group in each placement of the mixture, and each placement's column in the program. */
  private readonly mixed: StaticArray<i32>[] = [];
  private readonly columns: i32[] = [];
  /** Prices of the codes of each group, in the order of problem.codes. */
  private priceLists: StaticArray<StaticArray<f64>> = [];

  /** A placement near the best mixture; it may exceed a budget by a unit or two. */
  readonly rounded: Choice;

  constructor(readonly problem: Problem) {
    this.rounded = new Choice(problem);
    const groups = problem.groups.count;
    this.violation = new StaticArray<f64>(problem.width);
    this.codes = new StaticArray<i32>(groups);
    this.price = new StaticArray<f64>(problem.width);
    for (let class_ = 0; class_ < problem.classes; class_++) {
      const share = problem.weight[class_] / <f64>problem.rows;
      for (let row = 0; row < problem.rows; row++) this.price[problem.row(class_) + row] = share;
    }
  }

  /** Seconds that a mode of a unit comes to in one class at the current prices. */
  private modePrice(unit: i32, class_: i32, mode: i32): f64 {
    const problem = this.problem;
    const from = problem.costs.at(unit, class_, mode);
    const prices = problem.row(class_);
    let total: f64 = 0;
    for (let row = 0; row < problem.rows; row++) {
      total += unchecked(this.price[prices + row] * problem.costs.seconds[from + row]);
    }
    return total;
  }

  /** The price of a code of a unit that may have it; slots and staging are not part of it. */
  codePrice(unit: i32, code: i32): f64 {
    const problem = this.problem;
    const bytes = problem.costs.bytes[unit];
    let total: f64 = 0;
    if (code === RESIDENT) total = bytes * this.price[problem.costs.hasDevice ? DEVICE_BYTES : HOST_BYTES];
    if (code >= HOST) total = bytes * this.price[HOST_BYTES];
    for (let class_ = 0; class_ < problem.classes; class_++) {
      let mode = code === RESIDENT ? ON_DEVICE : FROM_DISK;
      if (code >= HOST) mode = (((code - HOST) >> class_) & 1) !== 0 ? ON_CPU : LINKED;
      total += this.modePrice(unit, class_, mode);
    }
    return total;
  }

  /** In which classes the CPU computes a unit in RAM, at the least price, which `masked` is then. */
  private cheapestMask(unit: i32): i32 {
    const problem = this.problem;
    let mask = 0;
    let mixed: f64 = 0;
    let computed: f64 = 0;
    let copied: f64 = 0;
    for (let class_ = 0; class_ < problem.classes; class_++) {
      const cpu = problem.canCompute(unit, class_) ? this.modePrice(unit, class_, ON_CPU) : NEVER;
      const link = problem.canLink(unit, class_) ? this.modePrice(unit, class_, LINKED) : NEVER;
      if (cpu <= link) mask |= 1 << class_;
      mixed += Math.min(cpu, link);
      computed += cpu;
      copied += link;
    }
    if (problem.costs.request.sharesPages) {
      this.masked = mixed;
      return mask;
    }
    this.masked = Math.min(computed, copied);
    return computed <= copied ? problem.every : 0;
  }

  /** The cheapest code of a group at the current prices; `cheapest` is its price. */
  private cheapestCode(group: i32): i32 {
    const problem = this.problem;
    const unit = problem.groups.unit(group);
    let code = RESIDENT;
    let least = this.codePrice(unit, RESIDENT);
    if (problem.canRead(unit)) {
      const disk = this.codePrice(unit, DISK);
      if (disk < least) {
        code = DISK;
        least = disk;
      }
    }
    if (problem.costs.hasDevice) {
      const mask = this.cheapestMask(unit);
      const host = problem.costs.bytes[unit] * this.price[HOST_BYTES] + this.masked;
      if (host < least) {
        code = HOST + mask;
        least = host;
      }
    }
    this.cheapest = least;
    return code;
  }

  /** The bound at `price`; sets `codes` and `violation`. */
  evaluate(): f64 {
    const problem = this.problem;
    const groups = problem.groups;
    const violation = this.violation;
    for (let i = 0; i < problem.width; i++) violation[i] = problem.base[i];
    violation[DEVICE_BYTES] -= problem.deviceRoom;
    violation[HOST_BYTES] -= problem.hostRoom;
    let total: f64 = 0;
    for (let i = 0; i < problem.width; i++) total += this.price[i] * violation[i];
    for (let group = 0; group < groups.count; group++) {
      const code = this.cheapestCode(group);
      total += this.cheapest * <f64>groups.size(group);
      problem.add(violation, 0, groups.unit(group), code, <f64>groups.size(group));
      this.codes[group] = code;
    }
    return total;
  }

  /** Is priced like another relaxation instead of being solved. */
  adopt(prices: StaticArray<f64>): void {
    for (let i = 0; i < this.problem.width; i++) this.price[i] = prices[i];
    this.value = this.evaluate();
    this.listPrices();
  }

  /** Takes prices from elsewhere when they bound better than the present ones. */
  tryPrices(prices: StaticArray<f64>): void {
    const kept = this.price;
    this.price = prices;
    const value = this.evaluate();
    this.price = kept;
    if (value <= this.value) return;
    this.value = value;
    for (let i = 0; i < this.problem.width; i++) kept[i] = prices[i];
  }

  /**
   * Raises the bound by up to `limit` placements of the mixture; ends when it cannot rise further. What it ends with is a bound whether or not the prices are the best: they are put right before they are used.
   */
  solve(limit: i32): void {
    this.solved = true;
    const problem = this.problem;
    const width = problem.width;
    this.value = Math.max(this.value, this.evaluate());
    const best = new StaticArray<f64>(width);
    for (let i = 0; i < width; i++) best[i] = this.price[i];
    const scale = this.scales();
    const master = new Master(width + 1, limit + 1);
    if (!this.begin(master, scale)) return;
    for (let round = 0; round < limit; round++) {
      master.solve(PIVOTS);
      this.takePrices(master.dual, scale);
      const mixture = this.mixture(master.dual, scale);
      const value = this.evaluate();
      if (value > this.value) {
        this.value = value;
        for (let i = 0; i < width; i++) best[i] = this.price[i];
      }
      if (mixture - this.value <= CLOSE * Math.abs(mixture)) break;
      this.addPlacement(master, scale);
    }
    for (let i = 0; i < width; i++) this.price[i] = best[i];
    this.value = this.evaluate();
    this.listPrices();
    this.round(master);
  }

  private listPrices(): void {
    const problem = this.problem;
    this.priceLists = new StaticArray<StaticArray<f64>>(problem.groups.count);
    for (let group = 0; group < problem.groups.count; group++) {
      const codes = problem.codes(group);
      const prices = new StaticArray<f64>(codes.length);
      for (let i = 0; i < codes.length; i++) prices[i] = this.codePrice(problem.groups.unit(group), codes[i]);
      this.priceLists[group] = prices;
    }
  }

  /** Prices of the codes of a group, in the order of problem.codes. */
  prices(group: i32): StaticArray<f64> {
    return unchecked(this.priceLists[group]);
  }

  /** The cost of a placement at `price`: at most its seconds when it fits. */
  priceOf(choice: Choice): f64 {
    const problem = this.problem;
    let total: f64 = 0;
    for (let i = 0; i < problem.width; i++) total += this.price[i] * choice.sums[i];
    return total - this.price[DEVICE_BYTES] * problem.deviceRoom - this.price[HOST_BYTES] * problem.hostRoom;
  }

  /** The mixture with whole units: each group's shares by the largest remainder. */
  private round(master: Master): void {
    const problem = this.problem;
    const share = new StaticArray<f64>(problem.kinds);
    for (let group = 0; group < problem.groups.count; group++) {
      share.fill(0);
      const size = problem.groups.size(group);
      for (let i = 0; i < this.columns.length; i++) {
        share[this.mixed[i][group]] += master.amount(this.columns[i]) * <f64>size;
      }
      let left = size;
      for (let code = 0; code < problem.kinds; code++) {
        const whole = min(left, <i32>Math.floor(share[code] + 1e-6));
        this.rounded.counts[group * problem.kinds + code] = whole;
        share[code] -= <f64>whole;
        left -= whole;
      }
      for (; left > 0; left--) {
        let most = 0;
        for (let code = 1; code < problem.kinds; code++) if (share[code] > share[most]) most = code;
        this.rounded.counts[group * problem.kinds + most]++;
        share[most] -= 1;
      }
    }
    this.rounded.sum();
  }

  /** What each sum is divided by, so that the program's numbers are about 1; the last is that of the objective. */
  private scales(): StaticArray<f64> {
    const problem = this.problem;
    const scale = new StaticArray<f64>(problem.width + 1);
    let bytes: f64 = 1;
    for (let unit = 0; unit < problem.units; unit++) bytes += problem.costs.bytes[unit];
    scale[DEVICE_BYTES] = bytes;
    scale[HOST_BYTES] = bytes;
    let total: f64 = 0;
    for (let class_ = 0; class_ < problem.classes; class_++) {
      const first = problem.row(class_);
      let most: f64 = 1e-12;
      for (let row = 0; row < problem.rows; row++) most = Math.max(most, this.violation[first + row]);
      for (let row = 0; row < problem.rows; row++) scale[first + row] = most;
      total += problem.weight[class_] * most;
    }
    scale[problem.width] = total;
    return scale;
  }

  /** The program with the one placement of the first prices: periods as its largest rows ask, excess where it exceeds. */
  private begin(master: Master, scale: StaticArray<f64>): bool {
    const problem = this.problem;
    const width = problem.width;
    const objective = scale[width];
    const basis = new StaticArray<i32>(width + 1);
    const right = new StaticArray<f64>(width + 1);
    right[width] = 1;
    for (let row = 0; row < width; row++) {
      basis[row] = master.add(0);
      master.set(basis[row], row, 1);
    }
    right[DEVICE_BYTES] = problem.deviceRoom / scale[DEVICE_BYTES];
    right[HOST_BYTES] = problem.hostRoom / scale[HOST_BYTES];
    for (let row = 0; row < FIRST_ROW; row++) {
      const excess = master.addExcess(row);
      if (this.violation[row] > 0) basis[row] = excess;
    }
    for (let class_ = 0; class_ < problem.classes; class_++) {
      const first = problem.row(class_);
      const period = master.add((problem.weight[class_] * scale[first]) / objective);
      let most = first;
      for (let row = first; row < first + problem.rows; row++) {
        master.set(period, row, -1);
        if (this.violation[row] > this.violation[most]) most = row;
      }
      basis[most] = period;
    }
    basis[width] = this.addPlacement(master, scale);
    return master.begin(basis, right);
  }

  /** The placement that evaluate() has found, as a column. */
  private addPlacement(master: Master, scale: StaticArray<f64>): i32 {
    const problem = this.problem;
    const column = master.add(0);
    this.columns.push(column);
    this.mixed.push(this.codes.slice<StaticArray<i32>>());
    for (let row = 0; row < problem.width; row++) {
      let sum = this.violation[row];
      if (row === DEVICE_BYTES) sum += problem.deviceRoom;
      if (row === HOST_BYTES) sum += problem.hostRoom;
      master.set(column, row, sum / scale[row]);
    }
    master.set(column, problem.width, 1);
    return column;
  }

  /** Dual prices to prices: not negative, and those of a class adding up to its weight, which rounding may have missed. */
  private takePrices(dual: StaticArray<f64>, scale: StaticArray<f64>): void {
    const problem = this.problem;
    const objective = scale[problem.width];
    for (let row = 0; row < problem.width; row++) {
      this.price[row] = (Math.max(0, -dual[row]) * objective) / scale[row];
    }
    for (let class_ = 0; class_ < problem.classes; class_++) {
      const first = problem.row(class_);
      let sum: f64 = 0;
      for (let row = 0; row < problem.rows; row++) sum += this.price[first + row];
      const fix = problem.weight[class_] / sum;
      for (let row = 0; row < problem.rows; row++) {
        this.price[first + row] = sum > 0 ? this.price[first + row] * fix : problem.weight[class_] / <f64>problem.rows;
      }
    }
  }

  /** Weighted seconds of the best mixture. */
  private mixture(dual: StaticArray<f64>, scale: StaticArray<f64>): f64 {
    const problem = this.problem;
    let sum = dual[problem.width];
    sum += (dual[DEVICE_BYTES] * problem.deviceRoom) / scale[DEVICE_BYTES];
    sum += (dual[HOST_BYTES] * problem.hostRoom) / scale[HOST_BYTES];
    return sum * scale[problem.width];
  }
}
