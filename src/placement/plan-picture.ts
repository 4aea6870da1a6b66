// The simulated pass of a plan as a picture.
import type { Model } from '../model/index.js';
import type { Machine } from './machine.js';
import { type Lane, type Picture, RESOURCE_NAMES } from './picture.js';
import type { Resource } from './plan.js';
import type { Placement } from './plan-for.js';

/** Resources that take turns; host memory is what they share, and has no row. */
const ROWS: readonly Exclude<Resource, 'host-memory'>[] = ['compute', 'link', 'disk', 'cpu'];

/** @param schedule index of the class of rows */
export function planPicture(model: Model, machine: Machine, { request, answer }: Placement, schedule: number): Picture {
  const { prediction, maxRows } = answer.plan.schedules[schedule];
  const events = answer.timelines[schedule];
  const { seconds, bound, busy } = prediction;
  const lanes = ROWS.flatMap((resource): Lane[] => {
    const own = events.filter((event) => event.resource === resource);
    const numbers = [...new Set(own.map(({ lane }) => lane))].sort((a, b) => a - b);
    return numbers.map((number) => {
      const spans = own.filter(({ lane }) => lane === number);
      const name = RESOURCE_NAMES[resource] + (numbers.length > 1 ? ` ${number + 1}` : '');
      const worked = spans.reduce((sum, { begin, end }) => sum + end - begin, 0);
      const share = (resource === 'disk' ? Math.min(worked, seconds) : busy[resource]) / seconds;
      return { name, busy: share, isBound: bound === resource, spans };
    });
  });
  const rate = (maxRows / seconds).toPrecision(3);
  const rows = maxRows === 1 ? 'one row' : `${maxRows} rows`;
  const boundBy = bound === 'host-memory' ? ' (bound by host memory, which the CPU, copies and reads share)' : '';
  return {
    title: `${model.config.name} on ${machine.name}`,
    subtitle: `A predicted pass of ${rows}, in steady state: ${(1e3 * seconds).toPrecision(3)} ms, ${rate} tok/s${boundBy}`,
    seconds,
    lanes,
    units: model.units.map(({ name }, index) => {
      return { name, bytes: request.units[index].bytes, tier: answer.plan.tiers[index] };
    }),
  };
}
