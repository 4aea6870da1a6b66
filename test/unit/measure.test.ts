import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { GGML_TYPES, type GgmlType } from '../../src/gguf/types.js';
import { allocateWeights } from '../../src/placement/measure/bench-memory.js';
import { lastLevelCacheBytes } from '../../src/placement/measure/caches.js';
import { threadCounts } from '../../src/placement/measure/cpu.js';
import {
  cheapestNearBest,
  DISK_MEMORY_BYTES,
  finalOf,
  groupByDisk,
  measureDisk,
} from '../../src/placement/measure/disk.js';
import { bestMemory, bestRates } from '../../src/placement/measure/host.js';
import { measureHostMemory } from '../../src/placement/measure/host-memory.js';
import { measureLaunch } from '../../src/placement/measure/launch.js';
import { copyDuring, measureLink } from '../../src/placement/measure/link.js';
import { bestProducts, measureProducts, productSizes } from '../../src/placement/measure/products.js';
import { Allowance, fastest } from '../../src/placement/measure/timing.js';
import { SimulatedBackend, type Speeds } from '../placement/simulated-backend.js';

const SPEEDS: Speeds = {
  linkRate: 20e9,
  combinedRate: 22e9,
  copySeconds: 4e-6,
  copyAfterPass: 3e-6,
  passAfterCopy: 2e-6,
  opSeconds: 1.5e-6,
  readSeconds: 40e-6,
  productRate: (type, rows) => (type === 'Q8_0' ? 900e9 : 700e9) / (rows <= 4 ? 1 : rows / 4),
};

/** Within a fraction of what is true. */
function expectNear(measured: number, truth: number, within = 0.02): void {
  expect(Math.abs(measured - truth) / truth, `${measured} of ${truth}`).toBeLessThan(within);
}

test('copies of every size, both kinds of memory, and both directions of waiting', async () => {
  const backend = new SimulatedBackend(SPEEDS);
  const link = await measureLink(backend, backend.now);
  for (const { bytes, rate } of link.copies) expectNear(rate, bytes / (4e-6 + bytes / 20e9));
  for (const { bytes, rate } of link.writeCombined!) expectNear(rate, bytes / (4e-6 + bytes / 22e9));
  expect(link.copies.map(({ bytes }) => bytes)).toEqual([16, 18, 20, 22, 24, 26].map((bits) => 2 ** bits));
  expectNear(link.copyAfterPassSeconds, 3e-6, 0.05);
  expectNear(link.passAfterCopySeconds, 2e-6, 0.05);
  expect([backend.live.size, backend.lists.size]).toEqual([0, 0]);
});

test('products of every type and number of rows', async () => {
  const backend = new SimulatedBackend(SPEEDS);
  const sizes = productSizes(backend.device);
  const weights = await allocateWeights(backend, sizes.totalBytes);
  const types: GgmlType[] = ['Q8_0', 'Q4_K', 'F32', 'Q3_K'];
  const rates = await measureProducts(backend, weights, types, sizes, new Allowance(10, backend.now));
  expect(Object.keys(rates)).toEqual(types);
  for (const type of types) {
    expect(rates[type]!.map(({ rows }) => rows)).toEqual([1, 4, 16, 128]);
    for (const { rows, rate } of rates[type]!) expectNear(rate, SPEEDS.productRate(type, rows), 0.06);
  }
  weights.free();
  expect([backend.live.size, backend.lists.size]).toEqual([0, 0]);
});

test('every type is measured, with the little that slow devices get too', async () => {
  const backend = new SimulatedBackend(SPEEDS, 'software-gpu');
  const sizes = productSizes(backend.device);
  const weights = await allocateWeights(backend, sizes.totalBytes);
  const rates = await measureProducts(backend, weights, GGML_TYPES, sizes, new Allowance(1e9, backend.now));
  for (const type of GGML_TYPES) expect(rates[type]!.every(({ rate }) => rate > 0 && Number.isFinite(rate))).toBe(true);
});

test('products beside a link that copies: never more than they reach alone, or than can be read', async () => {
  // One clock for both: whoever waits for less than the other does is not kept busy.
  const backend = new SimulatedBackend({ ...SPEEDS, productRate: () => 0.5e9 });
  const reader = (rate: number) => ({ measureReadBandwidth: async () => rate });
  const link = { device: backend, cpu: backend, type: 'Q4_K', alone: null } as const;
  const { readRate, withLink } = await measureHostMemory(reader(50e9), link, backend.now);
  expect([readRate, withLink!.type]).toEqual([50e9, 'Q4_K']);
  expectNear(withLink!.readRate, 0.5e9, 0.1);
  const slow = await measureHostMemory(reader(50e9), { ...link, alone: 0.4e9 }, backend.now);
  expect(slow.withLink!.readRate).toBe(0.4e9);
  expect((await measureHostMemory(reader(0.3e9), link, backend.now)).withLink!.readRate).toBe(0.3e9);
  expect([backend.live.size, backend.lists.size]).toEqual([0, 0]);
  expect(await measureHostMemory(reader(50e9), null, backend.now)).toEqual({ readRate: 50e9, withLink: null });
});

test('a link copies while something works, also where there is little room', async () => {
  const backend = new SimulatedBackend(SPEEDS, 'discrete-gpu', 24 << 20);
  let yields = 0;
  const work = async () => {
    while (yields < 100) await Promise.resolve(yields++);
    return 'done';
  };
  const { rate, result } = await copyDuring(backend, work, backend.now);
  expect(result).toBe('done');
  expectNear(rate, (8 * 2 ** 20) / (4e-6 + (8 * 2 ** 20) / 20e9), 0.1);
  const failing = copyDuring(backend, () => Promise.reject(new Error('no')), backend.now);
  await expect(failing).rejects.toThrow('no');
  expect(backend.live.size).toBe(0);
});

test('a device that is nearly full is measured with what is left', async () => {
  const backend = new SimulatedBackend(SPEEDS, 'discrete-gpu', 24 << 20);
  const sizes = productSizes(backend.device);
  const weights = await allocateWeights(backend, sizes.totalBytes);
  expect(weights.bytes).toBe(16 << 20);
  const rates = await measureProducts(backend, weights, ['Q8_0'], sizes, new Allowance(10, backend.now));
  expectNear(rates.Q8_0![0].rate, 900e9, 0.2);
  weights.free();
  const link = await measureLink(backend, backend.now);
  expect(link.copies.at(-1)!.bytes).toBe(16 << 20);
  await expect(allocateWeights(new SimulatedBackend(SPEEDS, 'discrete-gpu', 1000), 2 ** 28)).rejects.toMatchObject({
    code: 'no-memory',
  });
});

test('of two measurements the faster one counts, point by point', () => {
  const first = { Q8_0: [10, 20].map((rate, i) => ({ rows: i + 1, rate })), Q4_K: [{ rows: 1, rate: 5 }] };
  const second = { Q8_0: [15, 12].map((rate, i) => ({ rows: i + 1, rate })) };
  expect(bestProducts(first, second)).toEqual({
    Q8_0: [15, 20].map((rate, i) => ({ rows: i + 1, rate })),
    Q4_K: first.Q4_K,
  });
});

test('of the host as well: by threads, and beside the link as a pair', () => {
  const rates = (threads: number, rate: number) => ({ threads, products: { Q4_K: [{ rows: 1, rate }] } });
  const best = bestRates([rates(1, 10), rates(15, 30), rates(16, 95)], [rates(15, 98), rates(16, 90)]);
  expect(best).toEqual([rates(1, 10), rates(15, 98), rates(16, 95)]);
  const beside = (readRate: number, linkRate: number) => ({ type: 'Q4_K', readRate, linkRate }) as const;
  const disturbed = { readRate: 120, withLink: beside(30, 52) };
  const quiet = { readRate: 110, withLink: beside(90, 48) };
  expect(bestMemory(disturbed, quiet)).toEqual({ readRate: 120, withLink: beside(90, 48) });
  expect(bestMemory(quiet, disturbed)).toEqual({ readRate: 120, withLink: beside(90, 48) });
  expect(bestMemory(quiet, { readRate: 1, withLink: null })).toEqual(quiet);
});

test('without time only the first type is measured', async () => {
  const backend = new SimulatedBackend(SPEEDS);
  const sizes = productSizes(backend.device);
  const weights = await allocateWeights(backend, sizes.totalBytes);
  const rates = await measureProducts(backend, weights, ['Q6_K', 'Q8_0'], sizes, new Allowance(0, backend.now));
  expect(Object.keys(rates)).toEqual(['Q6_K']);
});

test('what an op and a pass cost', async () => {
  const backend = new SimulatedBackend(SPEEDS);
  const { launchSeconds, passSeconds } = await measureLaunch(backend, backend.now);
  // The small model's own bytes cost a little.
  expectNear(launchSeconds, 1.5e-6, 0.4);
  expectNear(passSeconds, 40e-6 + 3 * 1.5e-6, 0.1);
  expect([backend.live.size, backend.lists.size]).toEqual([0, 0]);
});

test('the fastest run counts, and the one that warms up does not', async () => {
  let clock = 0;
  const durations = [0.001, 0.005, 0.003, 0.004, 0.006, 0.007, 0.008, 0.009];
  const run = async () => {
    clock += durations.shift()!;
  };
  expect(await fastest(run, () => clock)).toBeCloseTo(0.003);
});

test('a run that takes longer than all should is repeated once', async () => {
  let clock = 0;
  let runs = 0;
  const run = async () => {
    clock += runs++ === 0 ? 3 : 2;
  };
  expect([await fastest(run, () => clock), runs]).toEqual([2, 2]);
});

test('an allowance ends, and so do its shares', () => {
  let clock = 0;
  const allowance = new Allowance(10, () => clock);
  const share = allowance.share(0.25);
  clock = 2;
  expect([allowance.left(), share.left()]).toEqual([8, 0.5]);
  clock = 11;
  expect([allowance.left(), share.left(), allowance.share(0.5).left()]).toEqual([0, 0, 0]);
});

test('products are measured with a part of what is free, whatever caches there are', () => {
  const cpu = { ...createReferenceBackend().device, backend: 'cpu', kind: 'cpu' } as const;
  const bytes = [2 ** 24, 400 * 2 ** 20, 700 * 2 ** 20].map((free) => productSizes(cpu, free).totalBytes / 2 ** 20);
  expect([bytes[0], bytes[1] <= 100, bytes[2] <= 175]).toEqual([32, true, true]);
  expect(productSizes(cpu, 2 ** 40).totalBytes).toBeGreaterThanOrEqual(128 * 2 ** 20);
});

test('threads that are worth measuring', () => {
  expect([1, 2, 4, 16].map(threadCounts)).toEqual([[1], [2, 1], [4, 3, 2, 1], [16, 15, 8, 12, 4, 1]]);
});

test('of reads that are about as fast the one with the fewest bytes in flight', () => {
  const cells = [
    { block: 1, depth: 1, rate: 50 },
    { block: 4, depth: 4, rate: 100 },
    { block: 4, depth: 2, rate: 99 },
    { block: 1, depth: 4, rate: 96 },
  ];
  expect(cheapestNearBest(cells)).toBe(cells[2]);
});

test('the usual way of reading, unless another is clearly faster when it is looked at again', async () => {
  const usual = { block: 2 ** 20, depth: 16, rate: 100, alignment: 512 };
  const other = { block: 2 ** 20, depth: 1, rate: 300, alignment: 512 };
  const rates = new Map([
    [usual, [100, 90, 110]],
    [other, [300, 20, 10]],
  ]);
  const again = async (cell: typeof usual) => ({ ...cell, rate: rates.get(cell)!.shift()! });
  expect(await finalOf(again, other, usual)).toEqual({ ...usual, rate: 100 });
  rates.set(usual, [100, 90, 110]).set(other, [140, 120, 130]);
  expect(await finalOf(again, other, usual)).toEqual({ ...other, rate: 130 });
  rates.set(other, [1, 2, 3]);
  expect(await finalOf(again, other, undefined)).toEqual({ ...other, rate: 2 });
});

test('the disk of a file, in the way that its reader takes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ntx-disk-'));
  const memory = createReferenceBackend().allocateHost(DISK_MEMORY_BYTES, 'reads');
  try {
    const paths = ['a', 'b'].map((name) => join(folder, name));
    await writeFile(paths[0], new Uint8Array(100));
    await writeFile(paths[1], new Uint8Array(3 << 20));
    const groups = await groupByDisk(paths);
    expect(groups.map((group) => group.paths)).toEqual([paths]);
    const disk = await measureDisk(groups[0], memory, new Allowance(0.5));
    expect(disk.mount).toBe(groups[0].mount);
    expect(disk.rate > 1e5 && disk.rate < 1e12, `${disk.rate}`).toBe(true);
    expect([disk.alignment === 1, Number.isInteger(Math.log2(disk.alignment))]).toEqual([!disk.direct, true]);
    // The file of 3 MiB has no request of 4 MiB.
    expect([2 ** 19, 2 ** 20]).toContain(disk.blockBytes);
    expect(disk.requestSeconds > 0 && disk.requestSeconds < 1).toBe(true);
    // A file smaller than every block is read all the same.
    expect((await measureDisk({ ...groups[0], paths: [paths[0]] }, memory, new Allowance(0.1))).rate).toBeGreaterThan(
      0,
    );
    await expect(groupByDisk([join(folder, 'none')])).rejects.toMatchObject({ code: 'io' });
  } finally {
    memory.free();
    await rm(folder, { recursive: true });
  }
});

test('caches that several processors share count once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ntx-caches-'));
  try {
    for (const [cpu, sharedBy, size] of [
      ['cpu0', '0-1', '107520K'],
      ['cpu1', '0-1', '107520K'],
      ['cpu2', '2-3', '96M'],
    ]) {
      await mkdir(join(folder, cpu, 'cache/index3'), { recursive: true });
      await writeFile(join(folder, cpu, 'cache/index3/shared_cpu_list'), `${sharedBy}\n`);
      await writeFile(join(folder, cpu, 'cache/index3/size'), `${size}\n`);
    }
    expect(lastLevelCacheBytes(folder)).toBe((107520 << 10) + (96 << 20));
    expect(lastLevelCacheBytes(join(folder, 'nothing'))).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});
