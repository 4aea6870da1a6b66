// Placements against exhaustive search, which shares no code with the planner.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PlanRequest } from '../../../src/placement/request.js';
import { exhaustiveBest } from './exhaustive.js';
import { askPlanner, requests } from './requests.js';

/** What a placement may be above the best one. */
const TOLERANCE = 1.005;

function compare(request: PlanRequest): void {
  const best = exhaustiveBest(request);
  const answer = askPlanner(request);
  if (best === Number.POSITIVE_INFINITY) {
    expect(answer.status).toBe('no-room');
    return;
  }
  if (answer.status !== 'planned') throw new Error(`expected a plan of ${best} s, got ${answer.status}`);
  expect(answer.steadyState).toBeLessThanOrEqual(best * TOLERANCE);
  expect(answer.steadyState).toBeGreaterThanOrEqual(best * (1 - 1e-9));
  expect(answer.lowerBound).toBeLessThanOrEqual(best * (1 + 1e-9));
  expect(answer.lowerBound).toBeGreaterThanOrEqual(best * 0.99);
}

test('no placement of a few units is better than the planned one: one class', () => {
  const arbitrary = requests({ units: [1, 6], classes: [1, 1] });
  fc.assert(fc.property(arbitrary, compare), { numRuns: 3000, endOnFailure: true });
});

test('no placement of a few units is better than the planned one: two classes', () => {
  const arbitrary = requests({ units: [1, 5], classes: [2, 2] });
  fc.assert(fc.property(arbitrary, compare), { numRuns: 400, endOnFailure: true });
});

test('no placement of a few units is better than the planned one: where the host is the device', () => {
  const arbitrary = requests({ units: [1, 10], classes: [1, 2] }, true);
  fc.assert(fc.property(arbitrary, compare), { numRuns: 400, endOnFailure: true });
});

test('no placement of up to 12 units is better than the planned one', () => {
  const arbitrary = requests({ units: [8, 12], classes: [1, 1] });
  fc.assert(fc.property(arbitrary, compare), { numRuns: 60, endOnFailure: true });
}, 60_000);
