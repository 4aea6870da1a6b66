// How many units of each group have which code, with the sums and ring widths that follow.
import { DISK } from './cost';
import { DEVICE_BYTES, HOST_BYTES, Problem } from './problem';
import { NEVER } from './relax';

export class Choice {
  /** The objective; NEVER: there is no placement yet. */
  seconds: f64 = NEVER;
  /** [group][code] */
  readonly counts: StaticArray<i32>;
  readonly sums: StaticArray<f64>;
  /** Bytes of the widest streamed unit, and of the widest in staging. */
  slot: f64 = 0;
  stage: f64 = 0;
  /** Units of each group that stream. */
  private readonly streaming: StaticArray<i32>;

  constructor(readonly problem: Problem) {
    this.counts = new StaticArray<i32>(problem.groups.count * problem.kinds);
    this.sums = new StaticArray<f64>(problem.width);
    this.streaming = new StaticArray<i32>(problem.groups.count);
  }

  /** Seconds of a pass of a class in steady state. */
  period(class_: i32): f64 {
    return this.problem.period(this.sums, 0, class_);
  }

  count(group: i32, code: i32): i32 {
    return unchecked(this.counts[group * this.problem.kinds + code]);
  }

  /** Takes a code for every unit; false when one of them may not have its code. */
  set(codes: StaticArray<i32>): bool {
    this.counts.fill(0);
    let allowed = true;
    for (let unit = 0; unit < codes.length; unit++) {
      if (!this.problem.allows(unit, codes[unit])) allowed = false;
      this.counts[this.problem.groups.group[unit] * this.problem.kinds + codes[unit]]++;
    }
    this.sum();
    return allowed;
  }

  take(other: Choice): void {
    for (let i = 0; i < this.counts.length; i++) this.counts[i] = other.counts[i];
    this.sum();
  }

  /** Sums, widths and seconds of `counts`, from scratch, so that rounding does not pile up. */
  sum(): void {
    const problem = this.problem;
    for (let i = 0; i < problem.width; i++) this.sums[i] = problem.base[i];
    for (let group = 0; group < problem.groups.count; group++) {
      this.streaming[group] = 0;
      for (let code = 0; code < problem.kinds; code++) {
        const count = this.count(group, code);
        if (count === 0) continue;
        problem.add(this.sums, 0, problem.groups.unit(group), code, <f64>count);
        if (problem.streams(code)) this.streaming[group] += count;
      }
    }
    this.measureRings();
    this.seconds = problem.objective(this.sums, 0);
  }

  private measureRings(): void {
    const problem = this.problem;
    this.slot = 0;
    this.stage = 0;
    for (let group = 0; group < problem.groups.count; group++) {
      if (unchecked(this.streaming[group]) === 0) continue;
      const unit = problem.groups.unit(group);
      this.slot = Math.max(this.slot, unchecked(problem.costs.bytes[unit]));
      if (this.count(group, DISK) > 0) this.stage = Math.max(this.stage, unchecked(problem.costs.staging[unit]));
    }
  }

  get fits(): bool {
    return this.problem.fits(this.sums[DEVICE_BYTES], this.sums[HOST_BYTES], this.slot, this.stage);
  }

  /** Bytes above the two budgets together. */
  get excess(): f64 {
    const problem = this.problem;
    const device = this.sums[DEVICE_BYTES] + problem.slotBytes(this.slot) - problem.budgets.device;
    const host = this.sums[HOST_BYTES] + problem.stagingBytes(this.stage) - problem.budgets.host;
    return Math.max(0, device) + Math.max(0, host);
  }

  /** Gives so many units of a group another code and brings sums and widths up to date; not `seconds`. */
  move(group: i32, from: i32, to: i32, many: i32): void {
    const problem = this.problem;
    const unit = problem.groups.unit(group);
    problem.shift(this.sums, unit, from, to, <f64>many);
    unchecked((this.counts[group * problem.kinds + from] -= many));
    unchecked((this.counts[group * problem.kinds + to] += many));
    const change = (problem.streams(to) ? many : 0) - (problem.streams(from) ? many : 0);
    unchecked((this.streaming[group] += change));
    if (change !== 0 || from === DISK || to === DISK) this.measureRings();
  }
}
