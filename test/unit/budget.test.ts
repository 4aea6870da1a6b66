import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { budgetOf, hostMemory, type MemoryFacts, marginOf, parseBudget } from '../../src/placement/budget.js';
import { deviceMemory, nvidiaFacts } from '../../src/placement/device-memory.js';

const GIB = 2 ** 30;
const folder = mkdtempSync(join(tmpdir(), 'ntx-budget-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('what a user may ask for', () => {
  test.each([
    ['12GiB', { bytes: 12 * GIB }],
    ['1.5 gib', { bytes: 1.5 * GIB }],
    ['500MB', { bytes: 5e8 }],
    ['700MiB', { bytes: 700 * 2 ** 20 }],
    ['123B', { bytes: 123 }],
    ['80%', { share: 0.8 }],
    ['0.5 %', { share: 0.005 }],
    ['0', { bytes: 0 }],
  ])('%s', (text, wish) => expect(parseBudget('--vram', text)).toEqual(wish));

  test.each(['', '12', 'GiB', '-1GiB', '101%', '1e3GiB', '12 parsecs', '99999999TiB', 'all'])('not %j', (text) => {
    expect(() => parseBudget('--ram', text)).toThrow(/^--ram: expected a number with a unit/);
  });
});

describe('budgets', () => {
  const vram: MemoryFacts = { name: 'VRAM', totalBytes: 24 * GIB, freeBytes: 22 * GIB };

  test('what is free less a margin; all less a margin where nobody knows', () => {
    expect(budgetOf(vram, undefined)).toEqual({
      bytes: 21.5 * GIB,
      reason: 'free less a margin',
      exceedsFree: false,
    });
    expect(budgetOf({ ...vram, freeBytes: null }, undefined).bytes).toBe(23.5 * GIB);
  });

  test('what is asked for, with a word when it is more than is free', () => {
    expect(budgetOf(vram, { share: 0.5 })).toMatchObject({ bytes: 12 * GIB, exceedsFree: false });
    expect(budgetOf(vram, { bytes: 23 * GIB })).toMatchObject({ bytes: 23 * GIB, exceedsFree: true });
    expect(budgetOf(vram, { bytes: 0 }).bytes).toBe(0);
    expect(() => budgetOf(vram, { bytes: 25 * GIB })).toThrow(/^--vram: expected at most the \d+ bytes that there are/);
  });

  test('margins grow with the memory, within limits, and leave something of a small one', () => {
    const margin = (name: 'VRAM' | 'RAM', totalBytes: number) => marginOf({ name, totalBytes, freeBytes: totalBytes });
    expect(margin('RAM', 700 * 2 ** 20)).toBe(64 * 2 ** 20);
    expect(margin('RAM', 1024 * GIB)).toBe(2 * GIB);
    expect(margin('VRAM', 80 * GIB)).toBe(GIB / 2);
    const bytes = fc.integer({ min: 0, max: 2 ** 40 });
    fc.assert(
      fc.property(bytes, bytes, (total, free) => {
        const facts: MemoryFacts = { name: 'RAM', totalBytes: total, freeBytes: Math.min(total, free) };
        const budget = budgetOf(facts, undefined).bytes;
        expect(budget >= 0 && budget <= facts.freeBytes!).toBe(true);
      }),
    );
  });
});

describe('RAM that this process may use', () => {
  const MEMINFO = 'MemTotal:       32768000 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n';

  function machine(name: string, files: Readonly<Record<string, string>>): string {
    const root = join(folder, name);
    for (const [path, text] of Object.entries({ '/proc/meminfo': MEMINFO, ...files })) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return root;
  }

  test('without control groups what the kernel calls available', () => {
    const root = machine('plain', {});
    expect(hostMemory(root)).toEqual({ name: 'RAM', totalBytes: 32768000 * 1024, freeBytes: 20000000 * 1024 });
  });

  test('version 2: the narrowest group counts, and page cache is free', () => {
    const root = machine('v2', {
      '/proc/self/cgroup': '0::/user/app\n',
      '/sys/fs/cgroup/user/app/memory.max': 'max\n',
      '/sys/fs/cgroup/user/memory.max': `${4 * GIB}\n`,
      '/sys/fs/cgroup/user/memory.current': `${3 * GIB}\n`,
      '/sys/fs/cgroup/user/memory.stat': `anon 5\ninactive_file ${2 * GIB}\nactive_file 7\n`,
    });
    expect(hostMemory(root)).toEqual({ name: 'RAM', totalBytes: 4 * GIB, freeBytes: 3 * GIB });
  });

  test('version 1, as a container sees it: its own group is the root', () => {
    const root = machine('v1', {
      '/proc/self/cgroup': '12:cpu,cpuacct:/docker/1\n3:memory:/docker/1\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${GIB}\n`,
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': `${GIB / 2}\n`,
      '/sys/fs/cgroup/memory/memory.stat': 'inactive_file 5\ntotal_inactive_file 100\n',
    });
    expect(hostMemory(root)).toEqual({ name: 'RAM', totalBytes: GIB, freeBytes: GIB / 2 + 100 });
  });

  test('version 1 without a limit has a number that means none', () => {
    const root = machine('v1-none', {
      '/proc/self/cgroup': '3:memory:/\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    });
    expect(hostMemory(root).totalBytes).toBe(32768000 * 1024);
  });

  test('of this machine', () => {
    const { totalBytes, freeBytes } = hostMemory();
    expect(freeBytes! > 0 && freeBytes! <= totalBytes).toBe(true);
  });
});

test('what a backend says of its device counts; of RAM that a device shares nothing is said', async () => {
  const device = { backend: 'cuda', name: 'a', kind: 'discrete-gpu', memoryBytes: 10, hostIsDevice: false } as const;
  const facts = await deviceMemory({ device, memory: () => ({ free: 7, total: 10 }) });
  expect(facts).toEqual({ name: 'VRAM', totalBytes: 10, freeBytes: 7 });
  expect(await deviceMemory({ device: { ...device, kind: 'integrated-gpu' } })).toBeNull();
});

test('what nvidia-smi says of the adapter', () => {
  const lines = 'NVIDIA GeForce RTX 3090, 24576, 20480\nNVIDIA H100 80GB HBM3, 81559, 80994\n';
  expect(nvidiaFacts(lines, 'NVIDIA H100 80GB HBM3 (vulkan)')).toEqual({
    name: 'VRAM',
    totalBytes: 81559 * 2 ** 20,
    freeBytes: 80994 * 2 ** 20,
  });
  expect(nvidiaFacts(lines, 'Another')).toBeNull();
  expect(nvidiaFacts(lines.split('\n')[0], 'Another')?.freeBytes).toBe(20480 * 2 ** 20);
  for (const broken of ['', 'no devices', 'a, [N/A], [N/A]']) expect(nvidiaFacts(broken, 'a')).toBeNull();
});
