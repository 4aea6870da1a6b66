// What it took a run to hand hidden states to the CPU and back.
import type { TimelineEvent } from './answer.js';
import type { Placement } from './plan-for.js';

type Planned = Pick<Placement, 'request'> & {
  readonly answer: { readonly plan: Pick<Placement['answer']['plan'], 'tiers'> };
};

/**
 * Predicted and measured seconds for each unit that the CPU computes in passes of one row: the median of the time from one such unit
 * to the next of the same pass, less what the device computes in between. Where something between them is copied or read it may
 * have been waited for: that tells nothing. Undefined where nothing tells.
 * @param events of single-row passes
 */
export function measuredHandOver(
  { request, answer }: Planned,
  events: readonly TimelineEvent[],
): { predicted: number; seconds: number } | undefined {
  const onCpu = events.filter(({ resource }) => resource === 'cpu').toSorted((a, b) => a.begin - b.begin);
  const times = onCpu.slice(1).flatMap((next, index) => {
    const before = onCpu[index];
    if (before.unit === null || next.unit === null || next.unit <= before.unit) return [];
    const between = request.units.slice(before.unit + 1, next.unit);
    const tiers = answer.plan.tiers.slice(before.unit + 1, next.unit);
    if (tiers.some((tier) => tier !== 'device')) return [];
    return next.begin - before.end - between.reduce((sum, { work }) => sum + work[0].deviceSeconds, 0);
  });
  if (times.length === 0) return undefined;
  const seconds = times.sort((a, b) => a - b)[times.length >> 1];
  return { predicted: request.classes[0].handOverSeconds, seconds: Math.max(0, seconds) };
}
