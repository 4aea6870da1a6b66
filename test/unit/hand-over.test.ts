import { expect, test } from 'vitest';
import type { TimelineEvent } from '../../src/placement/answer.js';
import { correct } from '../../src/placement/correct.js';
import { measuredHandOver } from '../../src/placement/hand-over.js';
import { readMachine } from '../../src/placement/machine-json.js';
import type { Tier } from '../../src/placement/plan.js';
import { llama70b } from './planner/shapes.js';

const request = llama70b();
const [attention] = request.units.map(({ work }) => work[0].deviceSeconds);
const cpu = (unit: number, begin: number, end: number): TimelineEvent => ({
  resource: 'cpu',
  lane: 0,
  unit,
  begin,
  end,
});
const tiers = (changes: Readonly<Record<number, Tier>> = {}) =>
  request.units.map((_, unit): Tier => changes[unit] ?? (unit % 2 === 1 ? 'host-compute' : 'device'));

/** Units 1, 3, 5, 7 and then 1 of the next pass, with these times in between beside the device's. */
function pass(times: readonly number[]): TimelineEvent[] {
  let at = 0;
  return [...times, 9].map((time, index) => {
    const event = cpu(index === times.length ? 1 : 2 * index + 1, at, at + 0.004);
    at += 0.004 + attention + time;
    return event;
  });
}

test('what lies between two units of the CPU is the device and the hand-over', () => {
  const events = [...pass([1e-4, 3e-4, 2e-4, 1e-3])].reverse();
  const found = measuredHandOver({ request, answer: { plan: { tiers: tiers() } } }, events);
  expect(found?.predicted).toBe(request.classes[0].handOverSeconds);
  // The time behind the last one crosses the end of the pass, and is none.
  expect(found?.seconds).toBeCloseTo(2e-4, 9);
});

test('a unit that is copied may have been waited for: nothing is learned from it', () => {
  const streamed = { answer: { plan: { tiers: tiers({ 2: 'host-copy', 4: 'disk', 6: 'host-copy' }) } }, request };
  expect(measuredHandOver(streamed, pass([1, 1, 1, 1]))).toBeUndefined();
  expect(measuredHandOver({ request, answer: { plan: { tiers: tiers() } } }, [])).toBeUndefined();
});

test('a run corrects the hand-over, and small differences do not', async () => {
  const machine = await readMachine('h100-80gb');
  const busy = { compute: 0, link: 0, disk: 0, cpu: 0.9, 'host-memory': 0 };
  const predicted = { seconds: 1, bound: 'cpu', busy } as const;
  const after = (seconds: number) =>
    correct(machine, { predicted, seconds: 1, busy: { cpu: 0.9 }, handOver: { predicted: 1e-4, seconds } });
  expect(after(2e-4).link?.handOverSeconds).toBeCloseTo(2 * machine.link!.handOverSeconds, 12);
  expect(after(2e-4).corrections.at(-1)?.resource).toBe('hand-over');
  expect(after(1.1e-4)).toBe(machine);
});
