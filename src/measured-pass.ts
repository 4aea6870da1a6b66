// A measured pass as a picture like that of a plan, and as a trace for Chrome's chrome://tracing or ui.perfetto.dev.
import type { Model } from './model/index.js';
import type { TimelineEvent } from './placement/answer.js';
import { type Picture, RESOURCE_NAMES } from './placement/picture.js';
import type { Tier } from './placement/plan.js';
import type { StreamWindow } from './streaming/stream-recorder.js';

const LANES = ['compute', 'link', 'cpu', 'disk'] as const satisfies TimelineEvent['resource'][];

export function measuredPicture(model: Model, device: string, tiers: readonly Tier[], pass: StreamWindow): Picture {
  const { seconds, busy, events } = pass;
  const longest = Math.max(...LANES.map((lane) => busy[lane]));
  return {
    title: `${model.config.name} on ${device}`,
    subtitle: `A measured pass of one row: ${(1e3 * seconds).toPrecision(3)} ms, ${(1 / seconds).toPrecision(3)} tok/s`,
    seconds,
    lanes: LANES.filter((lane) => busy[lane] > 0).map((lane) => ({
      name: RESOURCE_NAMES[lane],
      busy: busy[lane] / seconds,
      isBound: busy[lane] === longest,
      spans: events
        .filter(({ resource }) => resource === lane)
        .map((event) => ({ ...event, label: labelOf(model, event) })),
    })),
    units: model.units.map(({ name, bytes }, unit) => ({ name, bytes, tier: tiers[unit] })),
  };
}

/** Trace Event Format: complete events ("X"), times in microseconds, a thread for each resource. */
export function chromeTrace(model: Model, { events }: StreamWindow): object {
  const rows: readonly TimelineEvent['resource'][] = LANES;
  const threads = LANES.map((lane, tid) => ({
    ...{ name: 'thread_name', ph: 'M', pid: 1, tid, args: { name: RESOURCE_NAMES[lane] } },
  }));
  const spans = events.map((event) => ({
    ...{ name: labelOf(model, event), cat: event.resource, ph: 'X', pid: 1 },
    tid: rows.indexOf(event.resource),
    ts: 1e6 * event.begin,
    dur: 1e6 * (event.end - event.begin),
  }));
  return { displayTimeUnit: 'ms', traceEvents: [...threads, ...spans] };
}

/** Kernels of a segment go on to the next unit that is streamed. */
function labelOf({ units }: Model, { unit, resource }: TimelineEvent): string {
  if (unit === null) return 'resident units';
  return resource === 'compute' ? `from ${units[unit].name} on` : units[unit].name;
}
