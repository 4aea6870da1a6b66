import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { correct, deviation, type MeasuredRun } from '../../src/placement/correct.js';
import type { Machine } from '../../src/placement/machine.js';
import { learn } from '../../src/placement/machine-for.js';
import { parseMachine, readMachine } from '../../src/placement/machine-json.js';
import type { Prediction, Resource } from '../../src/placement/plan.js';

let machine: Machine;
beforeAll(async () => {
  machine = await readMachine('h100-80gb');
});

/** One second, bound by the link. */
const predicted: Prediction = {
  seconds: 1,
  bound: 'link',
  busy: { compute: 0.3, link: 0.98, disk: 0.5, cpu: 0, 'host-memory': 0.6 },
};

function run(seconds: number, busy: MeasuredRun['busy'] = {}): MeasuredRun {
  return { predicted, seconds, busy };
}

describe('a run says when it is off', () => {
  test('by a fifth, not by less', () => {
    expect(deviation(run(1.19))).toBeNull();
    expect(deviation(run(0.81))).toBeNull();
    expect(deviation(run(1.25))).toBe(
      'a pass took 1.25 s where 1.00 s were predicted (25 % more): its bound was to be the link; ' +
        'the next plan knows, and "ntx measure" measures again',
    );
    expect(deviation(run(0.5))).toMatch(/50 % less/);
  });

  test('with the resource that was farthest off', () => {
    const sentence = deviation(run(1.5, { link: 0.99, disk: 1.45, compute: 0.33 }));
    expect(sentence).toMatch(/the disk ran at 34 % of the rate that was measured before/);
  });
});

describe('rates after a run', () => {
  test('stay where they were right', () => {
    expect(correct(machine, run(1.02, { link: 0.99, compute: 0.295 }))).toBe(machine);
  });

  test('follow what was timed, and leave the rest', () => {
    const corrected = correct(machine, run(1.4, { link: 1.4, compute: 0.3 }), new Date(0));
    const factor = 0.98 / 1.4;
    corrected.link!.copies.forEach((copy, i) => {
      expect(copy.rate).toBeCloseTo(machine.link!.copies[i].rate * factor, -3);
    });
    expect(corrected.host.withLink!.linkRate).toBeCloseTo(machine.host.withLink!.linkRate * factor, -3);
    expect([corrected.device, corrected.disks, corrected.host.products]).toEqual([
      machine.device,
      machine.disks,
      machine.host.products,
    ]);
    expect(corrected.corrections).toEqual([{ date: '1970-01-01T00:00:00.000Z', resource: 'link', factor: 0.7 }]);
  });

  test('of the processor, beside the link as well', () => {
    const working: Prediction = { ...predicted, busy: { ...predicted.busy, cpu: 0.8 } };
    const corrected = correct(machine, { predicted: working, seconds: 1, busy: { cpu: 1 } });
    const { readRate, linkRate, type } = machine.host.withLink!;
    expect(corrected.host.withLink).toEqual({ readRate: readRate * 0.8, linkRate, type });
    const rateOf = ({ host }: Machine) => host.products[0].products.Q8_0![0].rate;
    expect(rateOf(corrected)).toBeCloseTo(rateOf(machine) * 0.8, -3);
  });

  test('of the bound, when nothing was timed', () => {
    expect(correct(machine, run(2)).link!.copies[0].rate).toBeCloseTo(machine.link!.copies[0].rate / 2, -3);
  });

  test('a resource that hardly worked is not judged', () => {
    const idle: Prediction = { ...predicted, busy: { ...predicted.busy, disk: 0.01 } };
    expect(correct(machine, { predicted: idle, seconds: 1, busy: { link: 0.98, disk: 0.5 } })).toBe(machine);
  });

  test('whatever a run claims, the description stays one', () => {
    const seconds = fc.double({ min: 0, max: 1e9, noNaN: false });
    const resources: Resource[] = ['compute', 'link', 'disk', 'cpu', 'host-memory'];
    const busy = fc.dictionary(fc.constantFrom(...resources), seconds);
    fc.assert(
      fc.property(busy, busy, seconds, seconds, fc.constantFrom(...resources), (some, other, a, b, bound) => {
        const expected = { ...predicted.busy, ...other } as Prediction['busy'];
        let corrected = machine;
        for (let i = 0; i < 3; i++) {
          corrected = correct(corrected, { predicted: { seconds: a, bound, busy: expected }, seconds: b, busy: some });
        }
        expect(() => parseMachine(JSON.stringify(corrected), 'corrected')).not.toThrow();
        expect(corrected.corrections.length).toBeLessThanOrEqual(20);
      }),
    );
  });

  test('are kept, and the sentence comes back', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ntx-learn-'));
    const path = join(folder, 'machine.json');
    const known = { machine, disks: [0], path };
    expect(await learn(known, run(1.01, { link: 0.98 }))).toBeNull();
    expect(existsSync(path)).toBe(false);
    expect(await learn(known, run(2))).toMatch(/100 % more/);
    expect(parseMachine(readFileSync(path, 'utf8'), path).corrections.length).toBe(1);
    expect(await learn({ ...known, path: null }, run(2))).toMatch(/100 % more/);
    rmSync(folder, { recursive: true });
  });

  test('a drive whose requests seemed to take long comes right as well', () => {
    // A gigabyte a pass in requests of a MiB: half a second in truth.
    let known: Machine = { ...machine, disks: machine.disks.map((disk) => ({ ...disk, requestSeconds: 0.01 })) };
    const secondsOf = ({ rate, requestSeconds }: Machine['disks'][number]) => 2 ** 30 / rate + 1024 * requestSeconds;
    for (let i = 0; i < 4; i++) {
      const disk = secondsOf(known.disks[0]);
      const plan: Prediction = { seconds: disk, bound: 'disk', busy: { ...predicted.busy, link: 0, disk } };
      known = correct(known, { predicted: plan, seconds: 0.5, busy: { disk: 0.5 } });
    }
    expect(secondsOf(known.disks[0])).toBeCloseTo(0.5, 1);
  });

  test('the same correction again and again ends in what is true', () => {
    // The link carries 40 GB/s in large copies, whatever was measured before.
    let known = machine;
    for (let i = 0; i < 4; i++) {
      const believed = known.link!.copies.at(-1)!.rate;
      const busy = { ...predicted.busy, link: 40e9 / believed };
      const plan: Prediction = { seconds: busy.link, bound: 'link', busy };
      known = correct(known, { predicted: plan, seconds: 1, busy: { link: 1 } });
    }
    expect(known.link!.copies.at(-1)!.rate / 40e9).toBeCloseTo(1, 2);
  });
});
