// Which units of a group take which code. A block of resident layers would let the link run dry behind it and the chain wait
// before it, so every code is spread evenly over the layers.
import { Choice } from './choice';
import { Problem } from './problem';

/** Groups whose sizes differ by less are layers of one kind in different quantizations. */
const KIN: f64 = 0.8;

/** Each group by itself: its counts are kept exactly. */
export function spread(choice: Choice): StaticArray<i32> {
  const problem = choice.problem;
  const groups = problem.groups;
  const codes = new StaticArray<i32>(problem.units);
  const given = new StaticArray<i32>(problem.kinds);
  for (let group = 0; group < groups.count; group++) {
    given.fill(0);
    const first = groups.first[group];
    const size = groups.size(group);
    // Units of a group are in the model's order. Each takes the code that is furthest behind its share.
    for (let i = 0; i < size; i++) {
      let most = -1;
      let behind: f64 = 0;
      for (let code = 0; code < problem.kinds; code++) {
        const count = choice.count(group, code);
        if (given[code] === count) continue;
        const lag = (<f64>count * (<f64>i + 0.5)) / <f64>size - <f64>given[code];
        if (most < 0 || lag > behind) {
          most = code;
          behind = lag;
        }
      }
      given[most]++;
      codes[groups.order[first + i]] = most;
    }
  }
  return codes;
}

/**
 * Groups of like size together: a placement may hold all layers of one quantization on the device and stream all of another,
 * which costs the same as a mixture of both but lies in blocks. Bytes of each code are kept to about a unit.
 */
export function blend(choice: Choice): StaticArray<i32> {
  const problem = choice.problem;
  const groups = problem.groups;
  const codes = new StaticArray<i32>(problem.units);
  for (let first = 0; first < groups.count; ) {
    let end = first + 1;
    while (end < groups.count && bytesOf(problem, end) >= KIN * bytesOf(problem, end - 1)) end++;
    blendGroups(choice, first, end, codes);
    first = end;
  }
  return codes;
}

function bytesOf(problem: Problem, group: i32): f64 {
  return problem.costs.bytes[problem.groups.unit(group)];
}

function blendGroups(choice: Choice, first: i32, end: i32, codes: StaticArray<i32>): void {
  const problem = choice.problem;
  const wanted = new StaticArray<f64>(problem.kinds);
  const given = new StaticArray<f64>(problem.kinds);
  let total: f64 = 0;
  for (let group = first; group < end; group++) {
    for (let code = 0; code < problem.kinds; code++) {
      const bytes = <f64>choice.count(group, code) * bytesOf(problem, group);
      wanted[code] += bytes;
      total += bytes;
    }
  }
  let reached: f64 = 0;
  for (let unit = 0; unit < problem.units; unit++) {
    const group = problem.groups.group[unit];
    if (group < first || group >= end) continue;
    const bytes = problem.costs.bytes[unit];
    let most = -1;
    let behind: f64 = 0;
    for (let code = 0; code < problem.kinds; code++) {
      if (wanted[code] === 0 || !problem.allows(unit, code)) continue;
      const lag = total > 0 ? (wanted[code] * (reached + 0.5 * bytes)) / total - given[code] : 0;
      if (most < 0 || lag > behind) {
        most = code;
        behind = lag;
      }
    }
    // A group whose units may have none of the others' codes has its own.
    for (let code = 0; most < 0; code++) if (choice.count(group, code) > 0) most = code;
    given[most] += bytes;
    reached += bytes;
    codes[unit] = most;
  }
}

/** `codes` with as few changes as bring its groups to the counts of `choice`. */
export function recount(codes: StaticArray<i32>, choice: Choice): StaticArray<i32> {
  const problem = choice.problem;
  const result = new StaticArray<i32>(problem.units);
  const left = new StaticArray<i32>(choice.counts.length);
  for (let i = 0; i < left.length; i++) left[i] = choice.counts[i];
  const open: i32[] = [];
  for (let unit = 0; unit < problem.units; unit++) {
    const at = problem.groups.group[unit] * problem.kinds + codes[unit];
    result[unit] = codes[unit];
    if (left[at] > 0) left[at]--;
    else open.push(unit);
  }
  for (let i = 0; i < open.length; i++) {
    let at = problem.groups.group[open[i]] * problem.kinds;
    while (left[at] === 0) at++;
    left[at]--;
    result[open[i]] = at % problem.kinds;
  }
  return result;
}
