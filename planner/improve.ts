// From the relaxed optimum, which may exceed a budget, to a placement that fits, and from there to better ones by changing
// the codes of one group or of two at once. For large models this is what is used; the bound says what it can lack.
import { Choice } from './choice';
import { DISK } from './cost';
import { DEVICE_BYTES, HOST_BYTES, Problem } from './problem';
import { Relaxation } from './relax';

/** Pairs of changes that one round looks at. */
const PAIRS: i32 = 512;
const ROUNDS: i32 = 12;

/** So many units of a group from one code to another. */
class Change {
  constructor(
    readonly group: i32,
    readonly from: i32,
    readonly to: i32,
    readonly many: i32,
    /** By how much the priced cost rises, and the bytes of the budgets. */
    readonly rise: f64,
    readonly device: f64,
    readonly host: f64,
  ) {}
}

function compareRise(a: Change, b: Change): i32 {
  if (a.rise !== b.rise) return a.rise < b.rise ? -1 : 1;
  return 0;
}

export class Improver {
  private readonly problem: Problem;

  constructor(
    private readonly choice: Choice,
    private readonly relaxation: Relaxation,
  ) {
    this.problem = choice.problem;
  }

  /** Changes codes until the budgets are kept, each time what costs least a byte. False when no single change helps. */
  repair(): bool {
    const choice = this.choice;
    for (let round = 0; round <= 2 * this.problem.units; round++) {
      const excess = choice.excess;
      if (excess === 0) break;
      const changes = this.changes(1);
      let best = -1;
      let bestRate: f64 = 0;
      for (let i = 0; i < changes.length; i++) {
        const change = changes[i];
        this.apply(change);
        const gained = excess - choice.excess;
        this.revert(change);
        if (gained <= 0) continue;
        const rate = Math.max(change.rise, 1e-12 * choice.seconds) / gained;
        if (best >= 0 && rate >= bestRate) continue;
        best = i;
        bestRate = rate;
      }
      if (best < 0) return false;
      this.apply(changes[best]);
    }
    choice.sum();
    return choice.excess === 0;
  }

  /** Improves a placement that fits until neither one change nor two together make it better. */
  improve(): void {
    for (let round = 0; round < ROUNDS; round++) {
      const helped = this.changeOne();
      if (!this.changeTwo() && !helped) break;
      this.choice.sum();
    }
    this.choice.sum();
  }

  /** Takes what room or time is left by single changes: less is moved than by improve(). */
  settle(): void {
    for (let round = 0; round < ROUNDS; round++) if (!this.changeOne()) break;
    this.leaveDrives();
    this.choice.sum();
  }

  /** What has room in memory and takes no longer there is not read in every pass: drives work for nothing, and vary most. */
  private leaveDrives(): void {
    const changes = this.changes(this.problem.units);
    for (let i = changes.length - 1; i >= 0; i--) {
      const change = changes[i];
      if (change.from !== DISK || !this.possible(change)) continue;
      const seconds = this.problem.objective(this.choice.sums, 0);
      this.apply(change);
      if (!this.choice.fits || this.problem.objective(this.choice.sums, 0) > seconds * (1 + 1e-12)) this.revert(change);
    }
  }

  /** All changes of up to `most` units of one group. */
  private changes(most: i32): Change[] {
    const changes: Change[] = [];
    const groups = this.problem.groups;
    for (let group = 0; group < groups.count; group++) {
      const codes = this.problem.codes(group);
      for (let from = 0; from < this.problem.kinds; from++) {
        const here = this.choice.count(group, from);
        if (here === 0) continue;
        const price = this.relaxation.codePrice(groups.unit(group), from);
        for (let i = 0; i < codes.length; i++) {
          if (codes[i] === from) continue;
          const rise = this.relaxation.prices(group)[i] - price;
          const device = this.problem.deviceBytes(group, codes[i]) - this.problem.deviceBytes(group, from);
          const host = this.problem.hostBytes(group, codes[i]) - this.problem.hostBytes(group, from);
          for (let many = 1; many <= min(here, most); many *= 2) {
            const times = <f64>many;
            changes.push(new Change(group, from, codes[i], many, rise * times, device * times, host * times));
          }
        }
      }
    }
    return changes;
  }

  private apply(change: Change): void {
    this.choice.move(change.group, change.from, change.to, change.many);
  }

  private revert(change: Change): void {
    this.choice.move(change.group, change.to, change.from, change.many);
  }

  private possible(change: Change): bool {
    return this.choice.count(change.group, change.from) >= change.many;
  }

  /** Whether the choice as it is now fits and is better than one of `seconds` whose priced cost was lower by `rise`. */
  private accepts(seconds: f64, rise: f64): bool {
    if (!this.choice.fits) return false;
    const now = this.problem.objective(this.choice.sums, 0);
    if (now < seconds * (1 - 1e-9)) return true;
    return now <= seconds * (1 + 1e-12) && rise < -1e-10 * seconds;
  }

  private changeOne(): bool {
    const changes = this.changes(this.problem.units);
    let helped = false;
    for (let i = 0; i < changes.length; i++) {
      const change = changes[i];
      if (!this.possible(change)) continue;
      const seconds = this.problem.objective(this.choice.sums, 0);
      this.apply(change);
      if (this.accepts(seconds, change.rise)) helped = true;
      else this.revert(change);
    }
    return helped;
  }

  /** Changes in two places, cheapest first: one alone exceeds a budget or lengthens a row, the other makes up for it. */
  private changeTwo(): bool {
    const changes = this.changes(4);
    changes.sort(compareRise);
    let helped = false;
    let seconds = this.problem.objective(this.choice.sums, 0);
    let slack = seconds - this.priced();
    for (let i = 0, tried = 0; i < changes.length; i++) {
      const first = changes[i];
      for (let j = i + 1; j < changes.length; j++) {
        const second = changes[j];
        // The priced cost of a placement is never above its seconds: these two together cannot be better.
        if (first.rise + second.rise > slack) break;
        if (!this.possible(first)) break;
        if (!this.hasRoom(first, second)) continue;
        if (++tried > PAIRS) return helped;
        this.apply(first);
        if (this.possible(second)) {
          this.apply(second);
          if (this.accepts(seconds, first.rise + second.rise)) {
            helped = true;
            seconds = this.problem.objective(this.choice.sums, 0);
            slack = seconds - this.priced();
            continue;
          }
          this.revert(second);
        }
        this.revert(first);
      }
    }
    return helped;
  }

  /** Whether two changes keep the budgets if the rings are then as narrow as they may be. */
  private hasRoom(first: Change, second: Change): bool {
    const sums = this.choice.sums;
    if (sums[DEVICE_BYTES] + first.device + second.device > this.problem.deviceRoom) return false;
    return sums[HOST_BYTES] + first.host + second.host <= this.problem.hostRoom;
  }

  /** The choice's cost at the prices of the relaxation. */
  private priced(): f64 {
    return this.relaxation.priceOf(this.choice);
  }
}
