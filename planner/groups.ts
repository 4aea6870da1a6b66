// Units that cost the same are one group: which of them goes where does not matter to the sums, only how many do.
import { Costs } from './cost';

/** Array.sort's comparator takes no context. */
let compared: Costs | null = null;

/** Largest first (a ring is as wide as the first streamed unit), equal units beside each other, else in the model's order. */
function compareUnits(a: i32, b: i32): i32 {
  const order = compareCosts(compared!, a, b);
  return order !== 0 ? order : a - b;
}

function compareCosts(costs: Costs, a: i32, b: i32): i32 {
  if (costs.bytes[a] !== costs.bytes[b]) return costs.bytes[a] > costs.bytes[b] ? -1 : 1;
  if (costs.staging[a] !== costs.staging[b]) return costs.staging[a] > costs.staging[b] ? -1 : 1;
  for (let class_ = 0; class_ < costs.classes; class_++) {
    const canA = costs.canCompute(a, class_);
    if (canA !== costs.canCompute(b, class_)) return canA ? -1 : 1;
  }
  const size = costs.unitSize;
  for (let i = 0; i < size; i++) {
    const left = unchecked(costs.seconds[a * size + i]);
    const right = unchecked(costs.seconds[b * size + i]);
    if (left !== right) return left > right ? -1 : 1;
  }
  return 0;
}

export class Groups {
  /** Units by descending bytes. */
  order: StaticArray<i32> = [];
  /** Group g is order[first[g]] ... order[first[g + 1] - 1]. */
  first: StaticArray<i32> = [];
  readonly count: i32;
  /** Of each unit. */
  group: StaticArray<i32> = [];

  constructor(costs: Costs) {
    const units = costs.units;
    const order = new Array<i32>(units);
    for (let unit = 0; unit < units; unit++) order[unit] = unit;
    compared = costs;
    order.sort(compareUnits);
    compared = null;
    this.order = new StaticArray<i32>(units);
    this.group = new StaticArray<i32>(units);
    const first: i32[] = [];
    for (let at = 0; at < units; at++) {
      const unit = order[at];
      if (at === 0 || compareCosts(costs, order[at - 1], unit) !== 0) first.push(at);
      this.order[at] = unit;
      this.group[unit] = first.length - 1;
    }
    this.count = first.length;
    first.push(units);
    this.first = StaticArray.fromArray(first);
  }

  size(group: i32): i32 {
    return this.first[group + 1] - this.first[group];
  }

  /** A unit that stands for its group. */
  unit(group: i32): i32 {
    return unchecked(this.order[this.first[group]]);
  }
}
