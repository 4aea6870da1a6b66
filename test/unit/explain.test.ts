import { beforeAll, describe, expect, test } from 'vitest';
import { planText } from '../../src/cli/plan-text.js';
import type { PlanAnswer } from '../../src/placement/answer.js';
import { buildRequest } from '../../src/placement/build-request.js';
import { explain } from '../../src/placement/explain.js';
import type { Machine } from '../../src/placement/machine.js';
import { readMachine } from '../../src/placement/machine-json.js';
import type { Prediction, Tier } from '../../src/placement/plan.js';
import type { Placement } from '../../src/placement/plan-for.js';
import { planPicture } from '../../src/placement/plan-picture.js';
import { shapeModel } from '../../src/synth/shape-model.js';

const GIB = 2 ** 30;
const SIZES = { maxRows: 64, maxOutputs: 8, slots: 1, context: 128 };
const { gguf, model } = shapeModel('tiny-llama-256', 'Q8_0');
const TIERS: readonly Tier[] = ['device', 'host-copy', 'host-compute', 'disk', 'device', 'host-copy', 'device'];

let machine: Machine;
beforeAll(async () => {
  machine = await readMachine('rtx3090-pcie3x8-48gb');
});

/** A placement as the planner could answer it: two classes of rows out of four would be as good. */
function placement(changes: Partial<PlanAnswer> = {}, tiers = TIERS): Placement {
  const reason = { reason: 'free less a margin', exceedsFree: false } as const;
  const budgets = { device: { bytes: GIB, ...reason }, host: { bytes: 2 * GIB, ...reason, exceedsFree: true } };
  const request = buildRequest(gguf, model, machine, { sizes: SIZES, budgets, rows: 1 });
  const busy = { compute: 0.002, link: 0.0099, disk: 0.005, cpu: 0.004, 'host-memory': 0.001 };
  const prediction: Prediction = { seconds: 0.01, bound: 'link', busy };
  const schedules = request.classes.map(({ maxRows }) => ({ maxRows, transfers: [], onCpu: [2], prediction }));
  const bytes = (tier: Tier) =>
    request.units.reduce((sum, unit, index) => (tiers[index] === tier ? sum + unit.bytes : sum), 0);
  const answer = {
    plan: { tiers, slots: [1000, 1000], staging: [5000], schedules },
    fitsDevice: false,
    use: { device: bytes('device'), slots: 2000, host: bytes('host-copy') + bytes('host-compute'), staging: 5000 },
    objective: { seconds: 1, steadyState: 1, lowerBound: 1 },
    refused: [
      { kind: 'stream-all', seconds: [0.02, 0.02, 0.02, 0.02] },
      { kind: 'compute-all', seconds: null },
    ],
    oneMoreGiB: { device: [0.008, 0.01, 0.01, 0.01], host: [0.01, 0.01, 0.01, 0.01] },
    timelines: request.classes.map(() => [
      { resource: 'link', lane: 0, unit: 1, begin: -0.001, end: 0.009 },
      { resource: 'disk', lane: 1, unit: 3, begin: 0, end: 0.004 },
      { resource: 'disk', lane: 0, unit: 3, begin: 0, end: 0.002 },
      { resource: 'compute', lane: 0, unit: null, begin: 0, end: 0.002 },
    ]),
    ...changes,
  } as PlanAnswer;
  return { request, answer, budgets, cpuThreads: 15 };
}

const explained = (given = placement()) => explain(model, machine, { sizes: SIZES }, given);

describe('a plan in numbers', () => {
  test('every unit is in one tier, and every byte of a budget has a name', () => {
    const { tiers, memories } = explained();
    expect(tiers.map(({ tier, units }) => [tier, units])).toEqual([
      ['device', 3],
      ['host-copy', 2],
      ['host-compute', 1],
      ['disk', 1],
    ]);
    const whole = model.units.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(tiers.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThanOrEqual(whole);
    for (const { budget, parts, left } of memories) {
      expect(parts.reduce((sum, { bytes }) => sum + bytes, left)).toBe(budget);
    }
    expect(memories.map(({ parts }) => parts.map(({ name }) => name))).toEqual([
      ['weights', 'slots (2)', 'the KV cache', 'activations', 'norms and biases'],
      ['weights', 'staging (1)', 'the token embedding'],
    ]);
  });

  test('classes, alternatives and one GiB more in tok/s of what was wanted', () => {
    const { classes, wanted, refused, oneMoreGiB } = explained();
    expect(wanted).toBe(0);
    expect(classes.map(({ rows, tokensPerSecond }) => [rows, Math.round(tokensPerSecond)])).toEqual([
      [1, 100],
      [4, 400],
      [16, 1600],
      [64, 6400],
    ]);
    expect(classes[0].busy.link).toBeCloseTo(0.99);
    expect(refused.map(({ tokensPerSecond }) => tokensPerSecond)).toEqual([50, null]);
    expect(oneMoreGiB).toEqual([
      { memory: 'VRAM', tokensPerSecond: 125 },
      { memory: 'RAM', tokensPerSecond: 100 },
    ]);
  });

  test('what was chosen was not refused, and without a CPU nothing was', () => {
    const seconds = [0.01, 0.01, 0.01, 0.01];
    const given = placement({
      refused: [
        { kind: 'stream-all', seconds },
        { kind: 'compute-all', seconds: [0.02, ...seconds.slice(1)] },
      ],
    });
    expect(explained(given).refused.map(({ kind }) => kind)).toEqual(['compute-all']);
    const units = given.request.units.map((unit) => {
      return { ...unit, work: unit.work.map((work) => ({ ...work, cpuSeconds: null })) };
    });
    expect(explained({ ...given, request: { ...given.request, units } }).refused).toEqual([]);
  });

  test('a sentence says what it comes to', () => {
    const given = placement();
    expect(explained(given).sentence).toBe(
      '3 of 7 units are resident, 2 copied out of RAM in every pass, 1 computed by the CPU in passes of few rows, ' +
        '1 read from disk in every pass',
    );
    const { link } = given.request;
    const apart = { ...given, request: { ...given.request, link: link && { ...link, sharesPages: false } } };
    expect(explained(apart).sentence).toContain('1 computed by the CPU in every pass');
    expect(explained(placement({ fitsDevice: true })).sentence).toBe('all of it fits on the device: nothing streams');
  });
});

describe('a plan as text', () => {
  test('has tiers, budgets with warnings, classes, what was refused and what was assumed', () => {
    const text = planText(explained());
    expect(text).toMatch(/^tiny-llama-256 Q8_0 on RTX 3090 .*, context 128\n3 of 7 units/);
    expect(text).toMatch(/^host-compute +1 +\d/m);
    expect(text).toMatch(/^RAM: 2 GiB \(free less a margin; that is more than is free now\): weights /m);
    expect(text).toMatch(/^ +1 +10 +100 +link \* +20 % +99 % +50 % +40 % +10 %$/m);
    expect(text).toMatch(/^ +50 tok\/s {2}what is not in VRAM is streamed/m);
    expect(text).toMatch(/^does not fit {2}what is not in VRAM is computed by the CPU as far as it can$/m);
    expect(text).toMatch(/^one GiB more of VRAM +125 tok\/s +\+25\.0 %$/m);
    expect(text).toMatch(/^one GiB more of RAM +100 tok\/s +nothing$/m);
    expect(text).toMatch(/^- nothing here was measured/m);
  });

  test('has no alternatives where everything fits', () => {
    expect(planText(explained(placement({ fitsDevice: true })))).not.toMatch(/refused|one GiB more/);
  });
});

test('the picture has a row for each resource that works, drives apart', () => {
  const picture = planPicture(model, machine, placement(), 0);
  expect(picture.lanes.map(({ name, isBound, busy }) => [name, isBound, Math.round(100 * busy)])).toEqual([
    ['device', false, 20],
    ['link', true, 99],
    ['disk 1', false, 20],
    ['disk 2', false, 40],
  ]);
  expect(picture.units.map(({ tier }) => tier)).toEqual(TIERS);
  expect(picture.subtitle).toBe('A predicted pass of one row, in steady state: 10.0 ms, 100 tok/s');
});
