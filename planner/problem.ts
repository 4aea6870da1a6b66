// The placement problem for given ring sizes: which codes a unit may have, and the sums that a choice of codes comes to.
// A vector of sums is [device bytes, host bytes, then for each class its rows of seconds (cost.ts)]. Units of one ring are
// held to its widest: slots x the largest streamed unit, staging x the largest unit from disk.
import { Costs, DISK, HOST, LINKED, modeOf, ON_CPU, RESIDENT } from './cost';
import { Groups } from './groups';
import { COMPUTE_ALL, FIRST_LAYERS, STREAM_ALL } from './request';

export const DEVICE_BYTES: i32 = 0;
export const HOST_BYTES: i32 = 1;
export const FIRST_ROW: i32 = 2;

/** Masks of classes are all tried up to this many classes; beyond, only those where the CPU computes in the first classes. */
const ALL_MASKS: i32 = 3;

/** How wide the rings may be: no streamed unit is larger than `slotMost`, and slots as wide as `slotLeast` are set aside. */
export class Widths {
  constructor(
    readonly slotLeast: f64,
    readonly slotMost: f64,
    readonly stageLeast: f64,
    readonly stageMost: f64,
  ) {}
}

/** Buffers of each ring, and bytes for rings and units. */
export class Budgets {
  constructor(
    readonly slots: i32,
    readonly staging: i32,
    readonly device: f64,
    readonly host: f64,
  ) {}
}

export class Problem {
  /** Length of a vector of sums. */
  readonly width: i32;
  readonly classes: i32;
  readonly rows: i32;
  readonly units: i32;
  /** All classes. */
  readonly every: i32;
  /** How many codes there are. */
  readonly kinds: i32;
  readonly weight: StaticArray<f64>;
  /** The class of most weight. */
  wanted: i32 = 0;
  /** Sums before any unit. */
  base: StaticArray<f64> = [];
  private codeLists: StaticArray<StaticArray<i32>> = [];

  constructor(
    readonly costs: Costs,
    readonly groups: Groups,
    readonly budgets: Budgets,
    readonly widths: Widths,
  ) {
    this.weight = costs.request.weight;
    this.classes = costs.classes;
    this.rows = costs.rows;
    this.units = costs.units;
    this.width = FIRST_ROW + costs.classes * costs.rows;
    this.every = (1 << costs.classes) - 1;
    this.kinds = HOST + this.every + 1;
    this.base = new StaticArray<f64>(this.width);
    for (let class_ = 0; class_ < this.classes; class_++) {
      if (this.weight[class_] > this.weight[this.wanted]) this.wanted = class_;
      this.base[this.row(class_)] = costs.request.overhead[class_];
    }
    this.codeLists = new StaticArray<StaticArray<i32>>(groups.count);
    for (let group = 0; group < groups.count; group++) this.codeLists[group] = this.codesOf(groups.unit(group));
  }

  /** The codes worth searching for units of a group, without those that they may not have. */
  codes(group: i32): StaticArray<i32> {
    return unchecked(this.codeLists[group]);
  }

  /** What rings leave of the budgets at least, and what units of these widths may use at most. */
  get deviceRoom(): f64 {
    return this.budgets.device - this.slotBytes(this.widths.slotLeast);
  }

  get hostRoom(): f64 {
    return this.budgets.host - this.stagingBytes(this.widths.stageLeast);
  }

  row(class_: i32): i32 {
    return FIRST_ROW + class_ * this.rows;
  }

  canRead(unit: i32): bool {
    const costs = this.costs;
    if (costs.quiet !== 0 || this.budgets.staging === 0) return false;
    if (costs.staging[unit] > this.widths.stageMost) return false;
    return !costs.hasDevice || (this.budgets.slots > 0 && costs.bytes[unit] <= this.widths.slotMost);
  }

  canLink(unit: i32, class_: i32): bool {
    const costs = this.costs;
    if (!costs.hasDevice || this.budgets.slots === 0 || ((costs.quiet >> class_) & 1) !== 0) return false;
    if (costs.request.kind === COMPUTE_ALL && class_ === this.wanted && costs.canCompute(unit, class_)) return false;
    return costs.bytes[unit] <= this.widths.slotMost;
  }

  canCompute(unit: i32, class_: i32): bool {
    const kind = this.costs.request.kind;
    return kind !== STREAM_ALL && kind !== FIRST_LAYERS && this.costs.canCompute(unit, class_);
  }

  allows(unit: i32, code: i32): bool {
    if (code === RESIDENT) return true;
    if (code === DISK) return this.canRead(unit);
    if (code !== HOST && code !== HOST + this.every && !this.costs.request.sharesPages) return false;
    for (let class_ = 0; class_ < this.classes; class_++) {
      const mode = modeOf(code, class_);
      if (mode === ON_CPU && !this.canCompute(unit, class_)) return false;
      if (mode === LINKED && !this.canLink(unit, class_)) return false;
    }
    return this.costs.hasDevice;
  }

  /** Whether a unit of this code ever takes a slot. */
  streams(code: i32): bool {
    return code === DISK || (code >= HOST && code !== HOST + this.every);
  }

  private codesOf(unit: i32): StaticArray<i32> {
    const codes: i32[] = [];
    if (this.allows(unit, RESIDENT)) codes.push(RESIDENT);
    if (this.allows(unit, DISK)) codes.push(DISK);
    if (this.classes <= ALL_MASKS) {
      for (let mask = 0; mask <= this.every; mask++) if (this.allows(unit, HOST + mask)) codes.push(HOST + mask);
    } else {
      for (let some = 0; some <= this.classes; some++) {
        const mask = (1 << some) - 1;
        if (this.allows(unit, HOST + mask)) codes.push(HOST + mask);
      }
    }
    return StaticArray.fromArray(codes);
  }

  /** sums += sign x the unit's vector, from `at` on. */
  add(sums: StaticArray<f64>, at: i32, unit: i32, code: i32, sign: f64): void {
    const bytes = unchecked(this.costs.bytes[unit]) * sign;
    sums[at + HOST_BYTES] += this.onHost(code) * bytes;
    if (code === RESIDENT && this.costs.hasDevice) sums[at + DEVICE_BYTES] += bytes;
    const seconds = this.costs.seconds;
    for (let class_ = 0; class_ < this.classes; class_++) {
      const from = this.costs.at(unit, class_, modeOf(code, class_));
      const to = at + this.row(class_);
      for (let row = 0; row < this.rows; row++) {
        unchecked((sums[to + row] += sign * seconds[from + row]));
      }
    }
  }

  /** sums += many x (the unit's vector with code `to` - that with code `from`); where both are run alike nothing changes. */
  shift(sums: StaticArray<f64>, unit: i32, from: i32, to: i32, many: f64): void {
    const bytes = unchecked(this.costs.bytes[unit]) * many;
    sums[HOST_BYTES] += this.onHost(to) * bytes - this.onHost(from) * bytes;
    if (this.costs.hasDevice) {
      if (to === RESIDENT) sums[DEVICE_BYTES] += bytes;
      if (from === RESIDENT) sums[DEVICE_BYTES] -= bytes;
    }
    const seconds = this.costs.seconds;
    const rows = this.rows;
    for (let class_ = 0; class_ < this.classes; class_++) {
      const before = modeOf(from, class_);
      const after = modeOf(to, class_);
      if (before === after) continue;
      const old = this.costs.at(unit, class_, before);
      const now = this.costs.at(unit, class_, after);
      const at = this.row(class_);
      for (let row = 0; row < rows; row++) {
        unchecked((sums[at + row] += many * (seconds[now + row] - seconds[old + row])));
      }
    }
  }

  /** Bytes of a budget that one unit of a group takes. */
  deviceBytes(group: i32, code: i32): f64 {
    return code === RESIDENT && this.costs.hasDevice ? this.costs.bytes[this.groups.unit(group)] : 0;
  }

  hostBytes(group: i32, code: i32): f64 {
    return this.onHost(code) * this.costs.bytes[this.groups.unit(group)];
  }

  private onHost(code: i32): f64 {
    return code >= HOST || (code === RESIDENT && !this.costs.hasDevice) ? 1 : 0;
  }

  /** Bytes of slots when the widest streamed unit has so many; there are none where the host is the device. */
  slotBytes(widest: f64): f64 {
    return this.costs.hasDevice ? widest * <f64>this.budgets.slots : 0;
  }

  stagingBytes(widest: f64): f64 {
    return widest * <f64>this.budgets.staging;
  }

  fits(deviceBytes: f64, hostBytes: f64, slot: f64, stage: f64): bool {
    return (
      deviceBytes + this.slotBytes(slot) <= this.budgets.device &&
      hostBytes + this.stagingBytes(stage) <= this.budgets.host
    );
  }

  /** Weighted seconds: of each class its largest row. */
  objective(sums: StaticArray<f64>, at: i32): f64 {
    let total: f64 = 0;
    for (let class_ = 0; class_ < this.classes; class_++)
      total += unchecked(this.weight[class_]) * this.period(sums, at, class_);
    return total;
  }

  /** Seconds of a pass of a class: its largest row. */
  period(sums: StaticArray<f64>, at: i32, class_: i32): f64 {
    const from = at + this.row(class_);
    let most: f64 = 0;
    for (let row = 0; row < this.rows; row++) most = Math.max(most, unchecked(sums[from + row]));
    return most;
  }
}
