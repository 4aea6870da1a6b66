// Models whose layers all differ a little would be as many groups as units. Units that cost nearly the same are then made
// equal: to the dearest of them for placements, which so fit, and to the cheapest for bounds, which so hold.
import { Costs } from './cost';
import { Groups } from './groups';

/** So many groups are searched quickly. */
const MANY: i32 = 20;
/** Shares by which units of a group may differ, tried until there are few groups. */
const SHARES: StaticArray<f64> = [0.002, 0.01, 0.03, 0.1, 0.3];

/** The share by which similar units have to be made equal; 0: there are few groups as it is. */
export function roundingShare(costs: Costs, groups: Groups): f64 {
  if (groups.count <= MANY) return 0;
  for (let i = 0; i < SHARES.length; i++) if (countSimilar(costs, groups, SHARES[i]) <= MANY) return SHARES[i];
  return SHARES[SHARES.length - 1];
}

function countSimilar(costs: Costs, groups: Groups, share: f64): i32 {
  let count = 0;
  for (let at = 0; at < costs.units; at = endOfSimilar(costs, groups, at, share)) count++;
  return count;
}

/** Units by descending bytes: from `at` to before the end all are similar to the first. */
function endOfSimilar(costs: Costs, groups: Groups, at: i32, share: f64): i32 {
  let end = at + 1;
  while (end < costs.units && areSimilar(costs, groups.order[at], groups.order[end], share)) end++;
  return end;
}

function areSimilar(costs: Costs, a: i32, b: i32, share: f64): bool {
  if (costs.bytes[b] < costs.bytes[a] * (1 - share)) return false;
  for (let class_ = 0; class_ < costs.classes; class_++) {
    if (costs.canCompute(a, class_) !== costs.canCompute(b, class_)) return false;
  }
  // Alignment and seconds of small parts may differ by more: twice the share, of what the unit costs at all.
  if (Math.abs(costs.staging[a] - costs.staging[b]) > 2 * share * Math.max(costs.staging[a], costs.staging[b]))
    return false;
  const size = costs.unitSize;
  let most: f64 = 0;
  for (let i = 0; i < size; i++) most = Math.max(most, costs.seconds[a * size + i]);
  for (let i = 0; i < size; i++) {
    const difference = Math.abs(costs.seconds[a * size + i] - costs.seconds[b * size + i]);
    if (difference > 2 * share * Math.max(costs.seconds[a * size + i], 0.01 * most)) return false;
  }
  return true;
}

/** Makes similar units equal in `costs`, which `groups` order. */
export function makeEqual(costs: Costs, groups: Groups, share: f64, up: bool): void {
  const size = costs.unitSize;
  for (let at = 0; at < costs.units; ) {
    const end = endOfSimilar(costs, groups, at, share);
    const first = groups.order[at];
    for (let pass = 0; pass < 2; pass++) {
      // First all into the first unit, then that into all.
      for (let i = at + 1; i < end; i++) {
        const from = pass === 0 ? groups.order[i] : first;
        const to = pass === 0 ? first : groups.order[i];
        costs.bytes[to] = outer(costs.bytes[to], costs.bytes[from], up);
        costs.staging[to] = outer(costs.staging[to], costs.staging[from], up);
        for (let j = 0; j < size; j++) {
          costs.seconds[to * size + j] = outer(costs.seconds[to * size + j], costs.seconds[from * size + j], up);
        }
      }
    }
    at = end;
  }
}

function outer(a: f64, b: f64, up: bool): f64 {
  return up ? Math.max(a, b) : Math.min(a, b);
}
