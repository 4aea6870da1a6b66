import { describe, expect, test } from 'vitest';
import { forecastPass, knownReadSeconds } from '../../src/placement/forecast.js';
import { planModel } from '../../src/placement/planner.js';
import type { PlanRequest } from '../../src/placement/request.js';
import { llama70b } from './planner/shapes.js';

const GIB = 2 ** 30;

/** 70B with little RAM behind its device: the drive binds. */
function onDisk(): PlanRequest {
  const request = llama70b();
  return { ...request, host: { ...request.host, bytes: 8 * GIB } };
}

describe('a plan that reads from a drive', () => {
  const request = onDisk();
  const answer = planModel(request);
  const [{ transfers, prediction }] = answer.plan.schedules;
  const known = knownReadSeconds(request, transfers);

  test('is foreseen as it was predicted while the drive is as it was', () => {
    expect(prediction.bound).toBe('disk');
    expect(forecastPass({ request, answer }, known)).toBeCloseTo(prediction.seconds, 9);
  });

  test('takes the time of its drive where that has become slower', () => {
    expect(forecastPass({ request, answer }, 2 * known)).toBeCloseTo(2 * prediction.seconds, 1);
  });

  test('waits for something else where the drive has become much faster', () => {
    const seconds = forecastPass({ request, answer }, known / 100);
    expect(seconds).toBeLessThan(prediction.seconds / 2);
    expect(seconds).toBeGreaterThan(prediction.seconds / 50);
  });

  test('takes the time of the slower of two drives', () => {
    const [drive] = request.drives;
    const half = { ...drive, bytesPerSecond: drive.bytesPerSecond / 2 };
    const files = [request.files[0], { ...request.files[0], drive: 1 }];
    const [extent] = transfers.find(({ extents }) => extents.length > 0)!.extents;
    const each = [extent, { ...extent, file: 1 }];
    const transfer = { unit: 0, slot: 0, staging: 0, extents: each };
    const seconds = knownReadSeconds({ ...request, drives: [drive, half], files }, [transfer]);
    expect(seconds).toBeCloseTo(extent.bytes / half.bytesPerSecond + half.requestSeconds, 9);
  });
});
