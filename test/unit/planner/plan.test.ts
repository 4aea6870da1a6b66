// What holds for every plan: budgets, order, slots, reads and the simulated passes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TimelineEvent } from '../../../src/placement/answer.js';
import { knownReadSeconds } from '../../../src/placement/forecast.js';
import type { Extent, Schedule, Transfer } from '../../../src/placement/plan.js';
import { predictPlan } from '../../../src/placement/planner.js';
import type { PlanRequest } from '../../../src/placement/request.js';
import { freeBytes, KINDS, type PlannedWords } from '../../../src/placement/wire.js';
import { bytesRead } from '../../../src/streaming/lanes.js';
import { askPlanner, requests } from './requests.js';

const sizes = { units: [1, 48], classes: [1, 4] } as const;
const any = fc
  .tuple(fc.oneof(requests(sizes), requests(sizes, true)), fc.integer({ min: 0, max: 6 }), fc.constantFrom(...KINDS))
  .map(([request, slots, kind]) => ({
    request: { ...request, rings: slots === 0 ? undefined : { slots, staging: 1 + (slots % 4) } },
    kind,
  }));

/** Checks every plan of random requests; fails when hardly any request has one. */
function forPlans(check: (plan: PlannedWords, request: PlanRequest) => void, numRuns = 80): void {
  let plans = 0;
  fc.assert(
    fc.property(any, ({ request, kind }) => {
      const plan = askPlanner(request, kind);
      if (plan.status !== 'planned') return;
      plans++;
      check(plan, request);
    }),
    { numRuns, endOnFailure: true },
  );
  expect(plans).toBeGreaterThan(numRuns / 4);
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

test('what a plan takes is within its budgets', () => {
  forPlans(({ tiers, slots, staging }, { units, device, host }) => {
    const bytesOf = (names: readonly string[]) =>
      sum(units.map(({ bytes }, i) => (names.includes(tiers[i]) ? bytes : 0)));
    if (device) {
      expect(bytesOf(['device']) + sum(slots)).toBeLessThanOrEqual(freeBytes(device));
      expect(bytesOf(['host-copy', 'host-compute']) + sum(staging)).toBeLessThanOrEqual(freeBytes(host));
    } else {
      expect(slots).toEqual([]);
      expect(bytesOf(['host-copy', 'host-compute'])).toBe(0);
      expect(bytesOf(['device']) + sum(staging)).toBeLessThanOrEqual(freeBytes(host));
    }
  });
});

test('every unit is resident, computed by the CPU, or transferred in the order of the pass', () => {
  forPlans(({ tiers, slots, staging, schedules }, { units, device }) => {
    for (const { transfers, onCpu } of schedules) {
      const moved = transfers.map(({ unit }) => unit);
      expect(moved).toEqual([...moved].sort((a, b) => a - b));
      const still = tiers.flatMap((tier, unit) => (tier === 'device' ? [unit] : []));
      expect([...moved, ...onCpu, ...still].sort((a, b) => a - b)).toEqual(units.map((_, unit) => unit));
      for (const unit of onCpu) expect(tiers[unit]).toBe('host-compute');
      for (const { unit, slot, staging: stage, extents } of transfers) {
        if (device) expect(slots[slot as number]).toBeGreaterThanOrEqual(units[unit].bytes);
        else expect(slot).toBeNull();
        expect(stage !== null).toBe(tiers[unit] === 'disk');
        if (stage === null) expect(extents).toEqual([]);
        else for (const { at, bytes } of extents) expect(at + bytes).toBeLessThanOrEqual(staging[stage]);
      }
    }
  });
});

/** The least number of uses from one use of a buffer to its next, the uses repeating endlessly. */
function reuseDistance(uses: readonly (number | null)[]): number {
  const distances = uses.map((buffer, at) => {
    const next = [...uses, ...uses].findIndex((other, index) => index > at && other === buffer);
    return next - at;
  });
  return Math.min(...distances);
}

test('a buffer is used again as late as a ring of its size allows, across the end of a pass too', () => {
  const check = (uses: readonly (number | null)[], ring: number) => {
    if (uses.length === 0) return;
    const blocks = Math.ceil(uses.length / ring);
    expect(reuseDistance(uses)).toBeGreaterThanOrEqual(Math.floor(uses.length / blocks));
    if (uses.length >= (ring - 1) * (ring - 2)) expect(reuseDistance(uses)).toBeGreaterThanOrEqual(ring - 1);
  };
  forPlans(({ slots, staging, schedules }, { device }) => {
    for (const { transfers } of schedules) {
      if (device)
        check(
          transfers.map(({ slot }) => slot),
          slots.length,
        );
      check(
        transfers.flatMap((transfer) => (transfer.staging === null ? [] : [transfer.staging])),
        staging.length,
      );
    }
  });
});

test('passes of a plan that is given are those of the plan, and slower ones on slower drives', () => {
  let slower = 0;
  forPlans((plan, request) => {
    const { schedules, tiers } = plan;
    expect(predictPlan(request, plan)).toEqual(schedules.map(({ prediction }) => prediction));
    const drives = request.drives.map((drive) => ({
      ...drive,
      bytesPerSecond: drive.bytesPerSecond / 4,
      requestSeconds: drive.requestSeconds * 4,
      latencySeconds: drive.latencySeconds * 4,
    }));
    const later = predictPlan({ ...request, drives }, plan);
    for (const [i, { seconds }] of later.entries()) {
      const { prediction, transfers } = schedules[i];
      if (!tiers.includes('disk')) {
        expect(seconds).toBe(prediction.seconds);
        continue;
      }
      // Were all else as much slower too, a pass would take four times as long. How long drives are busy in it has no such
      // bound: their reads may meet other use of host memory, and begin behind a rest, where they did not before.
      expect(seconds).toBeLessThan(4.001 * prediction.seconds);
      expect(seconds).toBeGreaterThan(0.999 * knownReadSeconds({ ...request, drives }, transfers));
      if (seconds > 3 * prediction.seconds) slower++;
    }
  });
  expect(slower).toBeGreaterThan(10);
});

test('a drive is busy for as long as a pass reads, though it reads ahead for some passes before its ring is full', () => {
  let seen = 0;
  fc.assert(
    fc.property(requests({ units: [16, 48], classes: [1, 1] }, true), (random) => {
      // Room for the ring and little else.
      const largest = Math.max(...random.units.map((unit) => unit.bytes));
      const request: PlanRequest = {
        ...random,
        host: { bytes: 8 * (largest + (1 << 23)), residents: [] },
        drives: [{ ...random.drives[0], requestSeconds: 0, latencySeconds: 0 }],
        files: random.files.map((file) => ({ ...file, drive: 0 })),
        hostMemory: { ...random.hostMemory, total: 1e15 },
        rings: { slots: 2, staging: 8 },
      };
      const plan = askPlanner(request);
      if (plan.status !== 'planned') throw new Error(`expected a plan, got ${plan.status}`);
      if (!plan.tiers.includes('disk')) return;
      const withRate = (bytesPerSecond: number) =>
        predictPlan({ ...request, drives: [{ ...request.drives[0], bytesPerSecond }] }, plan)[0];
      const bytes = bytesRead(plan.schedules[0].transfers);
      const readSeconds = 0.9 * withRate(1e15).seconds;
      const { busy } = withRate(bytes / readSeconds);
      expect(Math.abs(busy.disk / readSeconds - 1)).toBeLessThan(1e-3);
      seen++;
    }),
    { numRuns: 80, endOnFailure: true },
  );
  expect(seen).toBeGreaterThan(5);
});

test('reads cover every byte of a unit exactly once, aligned, in bounds and no longer than a request', () => {
  const disks = fc.tuple(requests(sizes, true), fc.integer({ min: 0, max: 1 << 16 }));
  let seen = 0;
  fc.assert(
    fc.property(disks, ([request, spare]) => {
      // Room for two units on their way and little else.
      const largest = Math.max(...request.units.map(({ bytes }) => bytes));
      const bytes = 2 * largest + 2 * (1 << 23) + spare;
      const plan = askPlanner({ ...request, host: { bytes, residents: [] }, rings: { slots: 2, staging: 2 } });
      if (plan.status !== 'planned') throw new Error(`expected a plan, got ${plan.status}`);
      for (const { unit, extents } of plan.schedules[0].transfers) {
        checkReads(request, unit, extents);
        seen++;
      }
    }),
    { numRuns: 40, endOnFailure: true },
  );
  expect(seen).toBeGreaterThan(40);
});

function checkReads(request: PlanRequest, unit: number, extents: readonly Extent[]): void {
  for (const { file, offset, bytes, at } of extents) {
    const { drive, bytes: fileBytes } = request.files[file];
    const { alignment, maxBytes } = request.drives[drive];
    expect([offset % alignment, at % alignment]).toEqual([0, 0]);
    expect(bytes % alignment === 0 || offset + bytes === fileBytes).toBe(true);
    expect(offset + bytes).toBeLessThanOrEqual(fileBytes);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(maxBytes);
  }
  const byPlace = [...extents].sort((a, b) => a.at - b.at);
  for (let i = 1; i < byPlace.length; i++) {
    expect(byPlace[i].at).toBeGreaterThanOrEqual(byPlace[i - 1].at + byPlace[i - 1].bytes);
  }
  for (const { file, offset, bytes } of request.units[unit].ranges) {
    const end = offset + bytes;
    const parts = extents
      .filter((extent) => extent.file === file && extent.offset < end && extent.offset + extent.bytes > offset)
      .sort((a, b) => a.offset - b.offset);
    const read = parts.map((part) => Math.min(end, part.offset + part.bytes) - Math.max(offset, part.offset));
    expect(sum(read)).toBe(bytes);
    // One stretch of staging, so that kernels and copies see the tensor whole.
    expect(new Set(parts.map((part) => part.at - part.offset)).size).toBe(1);
  }
}

test('simulated passes keep their order and never use a resource twice at once', () => {
  forPlans((plan, request) => {
    plan.schedules.forEach((schedule, index) => {
      checkTimeline(schedule, plan.timelines[index], request, plan.slots.length);
    });
  });
});

function checkTimeline(
  { transfers, onCpu, prediction }: Schedule,
  events: readonly TimelineEvent[],
  { units, classes, link }: PlanRequest,
  ring: number,
): void {
  const { seconds, busy } = prediction;
  const near = (value: number) => value * (1 + 1e-6) + 1e-12;
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThan(Number.POSITIVE_INFINITY);
  for (const value of Object.values(busy)) expect(value).toBeLessThanOrEqual(near(seconds));
  const exclusive = link && !link.overlapsKernels ? [['link', 'compute']] : [['link'], ['compute']];
  const lanes = [...exclusive, ['compute', 'cpu']].map((names) =>
    events.filter(({ resource }) => names.includes(resource)),
  );
  for (const drive of new Set(events.filter((e) => e.resource === 'disk').map(({ lane }) => lane))) {
    lanes.push(events.filter(({ resource, lane }) => resource === 'disk' && lane === drive));
  }
  for (const lane of lanes) {
    const sorted = lane.filter(({ unit }) => unit !== null).sort((a, b) => a.begin - b.begin || a.end - b.end);
    for (let i = 1; i < sorted.length; i++)
      expect(near(sorted[i].begin)).toBeGreaterThanOrEqual(sorted[i - 1].end - 1e-12);
  }
  const chain = events.filter(({ resource, unit }) => unit !== null && resource === 'compute').map(({ unit }) => unit);
  expect(chain).toEqual(units.map((_, unit) => unit));
  expect(events.filter(({ resource }) => resource === 'cpu').map(({ unit }) => unit)).toEqual(onCpu);
  checkSlots(transfers, events);
  // No pass has more copies under way than slots.
  if (link)
    expect(events.filter(({ resource }) => resource === 'link').length).toBeLessThanOrEqual(transfers.length + ring);
  expect(classes.length).toBeGreaterThan(0);
}

/** A copy begins after the unit that had its slot before has been computed, and ends before its own unit is. */
function checkSlots(transfers: readonly Transfer[], events: readonly TimelineEvent[]): void {
  const computed = new Map(events.filter((event) => event.resource === 'compute').map((event) => [event.unit, event]));
  transfers.forEach(({ unit, slot }, at) => {
    if (slot === null) return;
    const own = computed.get(unit) as TimelineEvent;
    const before = [...transfers.slice(at), ...transfers.slice(0, at)].findLastIndex((other) => other.slot === slot);
    const user = (at + before) % transfers.length;
    for (const copy of events.filter((event) => event.resource === 'link' && event.unit === unit)) {
      // Copies of this pass, or of the next, into a slot whose last user this pass has computed already.
      const isOwn = copy.end <= own.begin + 1e-9;
      if (isOwn && user >= at) continue;
      expect(isOwn || user >= at).toBe(true);
      const last = computed.get(transfers[user].unit) as TimelineEvent;
      expect(copy.begin).toBeGreaterThanOrEqual(last.end - 1e-9);
    }
  });
}

test('what the device cannot copy once the CPU computes with it is computed or copied in every class', () => {
  forPlans(({ schedules }, { link }) => {
    if (link?.sharesPages !== false) return;
    for (const { onCpu } of schedules) expect(onCpu).toEqual(schedules[0].onCpu);
  });
});

test('pure plans are pure', () => {
  const device = requests({ units: [1, 24], classes: [1, 3] });
  fc.assert(
    fc.property(device, (request) => {
      const streamed = askPlanner(request, 'stream-all');
      if (streamed.status === 'planned') expect(streamed.tiers).not.toContain('host-compute');
      const computed = askPlanner(request, 'compute-all');
      if (computed.status !== 'planned') return;
      const weights = request.classes.map(({ weight }) => weight);
      const wanted = weights.indexOf(Math.max(...weights));
      for (const { unit, staging } of computed.schedules[wanted].transfers) {
        expect(staging !== null || request.units[unit].work[wanted].cpuSeconds === null).toBe(true);
      }
    }),
    { numRuns: 60, endOnFailure: true },
  );
});
