// planModel on the shapes of real models: what it decides, what it says, and when it refuses.
import { describe, expect, test } from 'vitest';
import { NtxError } from '../../../src/errors.js';
import { planModel } from '../../../src/placement/planner.js';
import type { PlanRequest } from '../../../src/placement/request.js';
import { GIB, llama70b, type Shape } from './shapes.js';

const secondsOf = (request: PlanRequest) => planModel(request).plan.schedules[0].prediction.seconds;

/** The gap that the answer itself admits. */
function gap(request: PlanRequest): number {
  const { steadyState, lowerBound } = planModel(request).objective;
  return steadyState / lowerBound - 1;
}

test('what fits on the device is resident, and nothing streams', () => {
  const answer = planModel(llama70b({ vram: 60 }));
  expect(answer.fitsDevice).toBe(true);
  expect(answer.plan.slots).toEqual([]);
  expect(answer.plan.staging).toEqual([]);
  expect(answer.plan.schedules[0].transfers).toEqual([]);
  expect(answer.plan.schedules[0].prediction.bound).toBe('compute');
  expect(answer.oneMoreGiB.device).toEqual([answer.plan.schedules[0].prediction.seconds]);
});

test('a mixture of streaming and computing beats both, with both at work nearly all the time', () => {
  const answer = planModel(llama70b());
  const [{ prediction }] = answer.plan.schedules;
  const seconds = new Map(answer.refused.map((alternative) => [alternative.kind, alternative.seconds?.[0]]));
  expect(prediction.seconds * 1.3).toBeLessThan(seconds.get('compute-all') as number);
  expect(prediction.seconds * 2).toBeLessThan(seconds.get('stream-all') as number);
  // 24 GB outside VRAM, 146 GB/s of host memory: no pass takes less.
  const outside = answer.use.host;
  expect(prediction.seconds).toBeGreaterThan(outside / 146e9);
  expect(prediction.seconds).toBeLessThan((outside / 146e9) * 1.3);
  expect(prediction.busy.link / prediction.seconds).toBeGreaterThan(0.85);
  expect(prediction.busy.cpu / prediction.seconds).toBeGreaterThan(0.85);
  expect((answer.oneMoreGiB.device as number[])[0]).toBeLessThan(prediction.seconds);
});

test('streaming alone keeps the link busy: the period is the bytes over the rate of the link', () => {
  const answer = planModel(llama70b({ cpu: false }));
  const [{ prediction }] = answer.plan.schedules;
  expect(prediction.bound).toBe('link');
  expect(prediction.seconds).toBeLessThan((answer.use.host / 55e9) * 1.01);
  expect(prediction.busy.link).toBeGreaterThan(0.99 * prediction.seconds);
});

test('layers that stay resident in a block starve the link', () => {
  const answer = planModel(llama70b({ cpu: false, layers: 40 }));
  const block = answer.refused.find(({ kind }) => kind === 'first-layers-resident')?.seconds?.[0];
  expect(answer.plan.schedules[0].prediction.seconds * 1.03).toBeLessThan(block as number);
});

test('many rows stream what one row computes on the CPU, over the same bytes', () => {
  const { plan } = planModel(llama70b({ classes: 4 }));
  const onCpu = plan.schedules.map((schedule) => schedule.onCpu.length);
  expect(onCpu[0]).toBeGreaterThan(onCpu[3]);
  expect(onCpu[3]).toBe(0);
  expect(plan.schedules.map(({ maxRows }) => maxRows)).toEqual([1, 4, 16, 512]);
});

test('kernels and copies of one queue add up', () => {
  const [apart, together] = [true, false].map((overlapsKernels) => {
    return planModel(llama70b({ cpu: false, overlapsKernels })).plan.schedules[0].prediction;
  });
  expect(together.seconds).toBeGreaterThan(0.999 * (together.busy.link + together.busy.compute));
  expect(together.seconds).toBeGreaterThan(apart.seconds * 1.03);
});

test('a model larger than RAM streams the rest from disk, where the host is the device too', () => {
  for (const shape of [
    { ram: 14, cpu: false },
    { ram: 20, hostIsDevice: true },
  ] satisfies Shape[]) {
    const { plan } = planModel(llama70b(shape));
    const [{ prediction, transfers }] = plan.schedules;
    const read = transfers.flatMap(({ extents }) => extents).reduce((total, { bytes }) => total + bytes, 0);
    expect(prediction.bound).toBe('disk');
    expect(read).toBeGreaterThan(8e9);
    expect(prediction.seconds).toBeLessThan((read / 6.5e9) * 1.05);
    expect(prediction.busy.disk).toBeGreaterThan(0.95 * prediction.seconds);
  }
});

test('162 units are planned close to what no placement can be below', () => {
  const shapes: Shape[] = [{}, { cpu: false }, { overlapsKernels: false }, { ram: 14 }, { ram: 14, cpu: false }];
  for (const shape of shapes) {
    const request = llama70b(shape);
    expect(request.units).toHaveLength(162);
    expect(gap(request)).toBeLessThan(0.015);
  }
  expect(gap(llama70b({ classes: 4 }))).toBeLessThan(0.02);
});

test('more memory never makes a plan slower by more than the search may miss', () => {
  const grid = [2, 4, 8, 12, 16, 24, 32, 40].map((vram) => secondsOf(llama70b({ vram })));
  for (let i = 1; i < grid.length; i++) expect(grid[i]).toBeLessThan(grid[i - 1] * 1.01);
});

describe('a model that no placement fits', () => {
  const refusal = (request: PlanRequest): NtxError => {
    try {
      planModel(request);
    } catch (error) {
      if (error instanceof NtxError) return error;
      throw error;
    }
    throw new Error('expected no plan');
  };

  test('too little VRAM: the least that works works, a MiB less does not', () => {
    const error = refusal(llama70b({ vram: 0.9, ram: 14 }));
    expect(error.code).toBe('no-memory');
    const needed = Number(/needs (\d+) MiB of VRAM/.exec(error.message)?.[1]);
    expect(error.message).toContain(`${needed - Math.floor(0.9 * 1024)} MiB more than the 922 MiB`);
    expect(error.advice).toContain(`--vram to ${needed} MiB`);
    expect(() => planModel(llama70b({ vram: needed / 1024, ram: 14 }))).not.toThrow();
    expect(() => planModel(llama70b({ vram: (needed - 1) / 1024, ram: 14 }))).toThrow(NtxError);
  });

  test('too little RAM for staging', () => {
    const error = refusal(llama70b({ vram: 4, ram: 0.1 }));
    expect(error.message).toMatch(/needs \d+ MiB of RAM/);
  });

  test('a context that leaves no room: the largest that works works', () => {
    const request = llama70b({ vram: 1, ram: 14 });
    const kv = { name: 'the KV cache', bytes: 40 * GIB, bytesPerPosition: (40 * GIB) / 163_840 };
    const big = { ...request, context: 163_840, device: { bytes: 4 * GIB, residents: [kv] } };
    const error = refusal(big);
    expect(error.message).toContain('the KV cache (40960 MiB) alone does not fit');
    const context = Number(/--context (\d+)/.exec(error.advice)?.[1]);
    const at = (positions: number) => ({
      ...big,
      context: positions,
      device: { bytes: 4 * GIB, residents: [{ ...kv, bytes: positions * kv.bytesPerPosition }] },
    });
    expect(() => planModel(at(context))).not.toThrow();
    expect(() => planModel(at(context + 1))).toThrow(NtxError);
  });
});

test('a mixture is never slower than the better pure plan', () => {
  for (const vram of [2, 6, 10, 15.5, 24, 32]) {
    for (const shape of [{}, { sharesPages: false, overlapsKernels: false, classes: 3 }, { classes: 4 }]) {
      const request = llama70b({ vram, ...shape });
      const seconds = secondsOf(request);
      for (const kind of ['stream-all', 'compute-all'] as const) {
        const pure = planModel(request, kind).plan.schedules[0].prediction.seconds;
        expect(seconds).toBeLessThanOrEqual(1.01 * pure);
      }
    }
  }
}, 60_000);
