import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { PassSizes } from '../../src/backend/backend.js';
import { isFeedForward } from '../../src/model/index.js';
import { buildRequest, typesOf } from '../../src/placement/build-request.js';
import type { Machine } from '../../src/placement/machine.js';
import { readMachine } from '../../src/placement/machine-json.js';
import { bestCopies, cpuRatesOf, pointsOf, productSeconds } from '../../src/placement/rates.js';
import { shapeModel } from '../../src/synth/shape-model.js';

const GIB = 2 ** 30;
const SIZES: PassSizes = { maxRows: 512, maxOutputs: 8, slots: 1, context: 4096 };
const BUDGET = { reason: 'as asked for', exceedsFree: false } as const;
const BUDGETS = { device: { ...BUDGET, bytes: 16 * GIB }, host: { ...BUDGET, bytes: 30 * GIB } };

let machine: Machine;
beforeAll(async () => {
  machine = await readMachine('h100-80gb');
});

describe('rates between what was measured', () => {
  const points = [
    { rows: 1, rate: 100 },
    { rows: 4, rate: 50 },
    { rows: 16, rate: 10 },
  ];

  test('the time of a byte grows evenly between points and in proportion beyond them', () => {
    const seconds = (rows: number) => productSeconds(points, 1000, rows);
    expect([1, 4, 16].map(seconds)).toEqual([10, 20, 100]);
    expect([2.5, 7, 32].map(seconds)).toEqual([15, 40, 200]);
  });

  test('more rows never take less time, where the rates fall', () => {
    const rows = fc.integer({ min: 1, max: 5000 });
    fc.assert(
      fc.property(rows, rows, (a, b) => {
        const [few, many] = [Math.min(a, b), Math.max(a, b)];
        expect(productSeconds(points, 7, many)).toBeGreaterThanOrEqual(productSeconds(points, 7, few));
      }),
    );
  });

  test('a type that was not measured is taken for the one with the most similar bits', () => {
    const products = { Q4_K: [{ rows: 1, rate: 4 }], Q8_0: [{ rows: 1, rate: 8 }] };
    expect(pointsOf(products, 'Q4_K')).toBe(products.Q4_K);
    expect(pointsOf(products, 'Q4_0')).toBe(products.Q4_K);
    expect(pointsOf(products, 'BF16')).toBe(products.Q8_0);
    expect(pointsOf({}, 'Q4_K')).toBeNull();
  });

  test('threads that were not measured are taken for the nearest', () => {
    expect(cpuRatesOf(machine, 3)?.threads).toBe(15);
    expect(cpuRatesOf(machine, 64)?.threads).toBe(16);
    expect(cpuRatesOf({ ...machine, host: { ...machine.host, products: [] } }, 4)).toBeNull();
  });

  test('write-combined memory is taken where it is faster, not where it is the same', () => {
    const withRate = (factor: number): Machine => {
      const writeCombined = machine.link!.copies.map((copy) => ({ ...copy, rate: copy.rate * factor }));
      return { ...machine, link: { ...machine.link!, writeCombined } };
    };
    expect([0.9, 1.02, 1.1].map((factor) => bestCopies(withRate(factor))?.writeCombined)).toEqual([false, false, true]);
    expect(bestCopies({ ...machine, link: null })).toBeNull();
  });
});

describe('the request of a 70B model', () => {
  const { gguf, model } = shapeModel('llama-70b', 'Q4_K_M');
  const request = (rows = 1, sizes = SIZES, of = machine) =>
    buildRequest(gguf, model, of, { sizes, budgets: BUDGETS, rows });

  test('has all bytes of the file, but what is always resident, once', () => {
    const { units, files } = request();
    const all = units.reduce((sum, { bytes }) => sum + bytes, 0);
    const inFile = [...gguf.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    const small = model.small.reduce((sum, { bytes }) => sum + bytes, 0) + 256; // and the rotation's factors
    expect(Math.abs(all + model.embedding.bytes + small - inFile)).toBeLessThan(1e5);
    for (const { bytes, ranges } of units) {
      expect(bytes).toBeGreaterThanOrEqual(ranges.reduce((sum, range) => sum + range.bytes, 0));
      for (const range of ranges) expect(range.offset + range.bytes).toBeLessThanOrEqual(files[range.file].bytes);
    }
    expect(typesOf(model)).toEqual(['Q4_K', 'Q6_K', 'Q5_K']);
  });

  test('has classes of rows, the wanted one with the weight', () => {
    expect(request().classes.map(({ maxRows, weight }) => [maxRows, weight])).toEqual([
      [1, 256],
      [4, 1],
      [16, 1],
      [512, 1],
    ]);
    expect(request(3).classes[1].weight).toBe(256);
    expect(request(5000).classes[3].weight).toBe(256);
    expect(request(1, { ...SIZES, maxRows: 4 }).classes.map(({ maxRows }) => maxRows)).toEqual([1, 4]);
  });

  test('decodes as fast as its bytes can be read, and a little slower', () => {
    const { units } = request();
    const seconds = units.reduce((sum, { work }) => sum + work[0].deviceSeconds, 0);
    const bytes = units.reduce((sum, unit) => sum + unit.bytes, 0);
    const floor = bytes / machine.device.readRate;
    expect(seconds).toBeGreaterThan(floor);
    expect(seconds).toBeLessThan(1.6 * floor);
    for (const { work } of units) {
      expect(work[3].deviceSeconds).toBeGreaterThanOrEqual(work[0].deviceSeconds);
    }
  });

  test('the CPU can compute feed-forward units, which nothing of stays on the device', () => {
    request().units.forEach(({ work }, index) => {
      for (const { cpuSeconds, deviceSeconds, deviceSecondsBesideCpu } of work) {
        if (!isFeedForward(model.units[index])) expect(cpuSeconds).toBeNull();
        else expect(cpuSeconds!).toBeGreaterThan(deviceSeconds);
        expect(deviceSecondsBesideCpu).toBe(0);
      }
    });
    expect(
      model.units
        .filter(isFeedForward)
        .map(({ name }) => name)
        .slice(0, 2),
    ).toEqual(['layer 0 feed-forward', 'layer 1 feed-forward']);
    expect(model.units.filter(isFeedForward)).toHaveLength(80);
  });

  test('beside the link the CPU is as fast as products of the type were, and as those of another would be', () => {
    const { host } = machine;
    const rateOf = (type: 'Q4_K' | 'Q8_0') => host.products[0].products[type]![0].rate;
    const measured = (type?: 'Q4_K' | 'Q8_0', readRate = 5e10) => {
      const withLink = { readRate, linkRate: 4e10, ...(type && { type }) };
      return request(1, SIZES, { ...machine, host: { ...host, withLink } }).hostMemory;
    };
    expect(measured('Q4_K')).toEqual({ total: host.readRate, cpuBesideLink: 5e10, linkBesideCpu: 4e10 });
    expect(measured('Q8_0').cpuBesideLink).toBeCloseTo((5e10 * rateOf('Q4_K')) / rateOf('Q8_0'), -3);
    expect(measured().cpuBesideLink).toBe(5e10);
    expect(measured('Q4_K', 1e11).total).toBe(1.4e11);
    expect(measured('Q4_K', 1e12).cpuBesideLink).toBe(host.readRate);
  });

  test('the output head of a prompt computes one row', () => {
    const head = request().units[160];
    expect(head.work[3].deviceSeconds).toBe(head.work[0].deviceSeconds);
    expect(head.work[1].deviceSeconds).toBeGreaterThan(head.work[0].deviceSeconds);
  });

  test('the KV cache is what the context costs', () => {
    const cache = request().device!.residents[0];
    // 80 layers of 8 heads of 128 halves, keys and values; and the rotation's table.
    expect(cache.bytesPerPosition).toBe(80 * 8 * 128 * 2 * 2 + 128 * 4);
    expect(cache.bytes).toBe(cache.bytesPerPosition * 4096);
    expect(request().host.residents.map(({ name }) => name)).toEqual(['the token embedding']);
  });

  test('where the host is the device there is no link, and all lies in RAM', () => {
    const cpu: Machine = { ...machine, link: null, device: { ...machine.device, backend: 'cpu', hostIsDevice: true } };
    const { device, link, host, units } = request(1, SIZES, cpu);
    expect([device, link]).toEqual([null, null]);
    expect(host.residents.length).toBe(4);
    expect(units[0].work[0].cpuSeconds).toBeNull();
  });

  test('has the drives that the files lie on, of however many the machine has', () => {
    const disks = Array.from({ length: 12 }, (_, i) => ({ ...machine.disks[0], mount: `/${i}`, rate: 1e9 + i }));
    const split = { ...gguf, files: [0, 1, 2].map((i) => ({ ...gguf.files[0], path: `${i}` })) };
    const options = { sizes: SIZES, budgets: BUDGETS, rows: 1 };
    const { drives, files } = buildRequest(split, model, { ...machine, disks }, { ...options, disks: [11, 3, 11] });
    expect(drives.map(({ bytesPerSecond }) => bytesPerSecond)).toEqual([1e9 + 3, 1e9 + 11]);
    expect(files.map(({ drive }) => drive)).toEqual([1, 0, 1]);
    const many = { ...gguf, files: disks.map(() => gguf.files[0]) };
    const everywhere = { ...options, disks: disks.map((_, i) => i) };
    expect(() => buildRequest(many, model, { ...machine, disks }, everywhere)).toThrow(/lie on 12 drives/);
  });

  test('a description without a disk, or without rates, is refused with a sentence', () => {
    expect(() => request(1, SIZES, { ...machine, disks: [] })).toThrow(/has no disk/);
    const blind = { ...machine, device: { ...machine.device, products: {} } };
    expect(() => request(1, SIZES, blind)).toThrow(/has no rates of products on NVIDIA H100/);
  });
});
