import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { cachePath, type MachineKey, readCached, writeCached } from '../../src/placement/cache.js';
import { parseMachine, readMachine, shippedMachines } from '../../src/placement/machine-json.js';

const folder = mkdtempSync(join(tmpdir(), 'ntx-machine-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const EXAMPLE = readFileSync(new URL('../../machines/rtx3090-pcie3x8-48gb.json', import.meta.url), 'utf8');

/** The example with something else in it. */
// biome-ignore lint/suspicious/noExplicitAny: the point is to write what no type allows
function changed(change: (machine: any) => void): string {
  const machine = JSON.parse(EXAMPLE);
  change(machine);
  return JSON.stringify(machine);
}

describe('descriptions that come with ntx', () => {
  test.each(shippedMachines())('%s is right, and says what it assumes', async (name) => {
    const machine = await readMachine(name);
    expect(machine.assumptions.length).toBeGreaterThan(2);
    expect(machine.link!.copies.length).toBeGreaterThan(2);
    expect(machine.disks.length).toBeGreaterThan(0);
    // A copy of what JSON gives back.
    expect(parseMachine(JSON.stringify(machine), 'again')).toEqual(machine);
  });

  test('those of the published figures are among them', () => {
    expect(shippedMachines()).toEqual(['h100-80gb', 'rtx3090-pcie3x8-48gb', 'rtx5060ti-pcie5-32gb']);
  });
});

describe('mistakes in a description', () => {
  test('every one of them has its sentence', () => {
    const text = changed((machine) => {
      machine.device.readRate = '870 GB/s';
      machine.device.kind = 'gpu';
      delete machine.host.cores;
      machine.host.withLink.type = 'Q9_Z';
      machine.disks[0].alignment = 1000;
      machine.link.copies.reverse();
      machine.device.products.Q9_Z = [];
      machine.device.products.Q8_0 = [];
      machine.host.reedRate = 1;
      machine.assumptions = 'none';
    });
    const message = messageOf(() => parseMachine(text, 'mine.json'));
    expect(message.startsWith('mine.json: ')).toBe(true);
    expect(message.split('; ').map((sentence) => sentence.replace('mine.json: ', ''))).toEqual([
      'assumptions: expected a list of texts, got "none"',
      'device.kind: expected one of cpu, discrete-gpu, integrated-gpu, software-gpu, got "gpu"',
      'device.readRate: expected a number of bytes a second from 1 to 10000000000000000, got "870 GB/s"',
      'device.products.Q8_0: expected at least one entry, got none',
      expect.stringMatching(/^device\.products\.Q9_Z: expected a type out of F32, /),
      expect.stringMatching(/^link\.copies: expected ascending entries, got 67108864, /),
      'host.cores: expected a whole number from 1 to 65536, got nothing',
      expect.stringMatching(/^host\.withLink\.type: expected one of F32, .*, got "Q9_Z"$/),
      'host.reedRate: there is no such field',
      'disks[0].alignment: expected a power of two from 1 to 16777216, got 1000',
    ]);
  });

  test.each([
    [
      'another format',
      changed((machine) => Object.assign(machine, { format: 2 })),
      /format: expected a number from 1 to 1, got 2/,
    ],
    ['no link', changed((machine) => Object.assign(machine, { link: null })), /link: expected null exactly where/],
    ['a list', '[]', /the text: expected an object, got \[\]/],
    ['no JSON', '{', /is no JSON/],
    ['infinity', EXAMPLE.replace(/"rate": \d+/, '"rate": 1e999'), /expected a number of bytes a second/],
  ])('%s', (_, text, expected) => expect(messageOf(() => parseMachine(text, 'x'))).toMatch(expected));

  test('a file that is not there is told with the names that are', async () => {
    await expect(readMachine(join(folder, 'none.json'))).rejects.toMatchObject({
      code: 'io',
      advice: expect.stringContaining('rtx3090-pcie3x8-48gb'),
    });
  });
});

describe('the cache', () => {
  const key: MachineKey = { cpu: 'a', cores: 8, memoryBytes: 1, backend: 'cuda', device: 'b', driver: '580' };
  const env = { XDG_CACHE_HOME: folder };

  test('is keyed by machine, device and driver, in the folder of the user', () => {
    const path = cachePath(key, env);
    expect(path.startsWith(join(folder, 'ntx', 'machines', 'cuda-'))).toBe(true);
    const others = [
      { cpu: 'b' },
      { cores: 4 },
      { memoryBytes: 2 },
      { device: 'c' },
      { driver: '581' },
      { driver: null },
    ];
    const paths = [key, ...others.map((other) => ({ ...key, ...other }))].map((each) => cachePath(each, env));
    expect(new Set(paths).size).toBe(paths.length);
  });

  test('gives back what was written, and nothing of what cannot be read', async () => {
    const path = cachePath(key, env);
    expect(await readCached(path)).toBeNull();
    const machine = parseMachine(EXAMPLE, 'example');
    expect(await writeCached(path, machine)).toBe(true);
    expect(await readCached(path)).toEqual(machine);
    for (const broken of ['', '{"format": 1}', EXAMPLE.slice(0, 500)]) {
      writeFileSync(path, broken);
      expect(await readCached(path)).toBeNull();
    }
  });

  test('a folder that cannot be written does not matter', async () => {
    writeFileSync(join(folder, 'file'), '');
    mkdirSync(join(folder, 'sub'));
    const path = cachePath(key, { XDG_CACHE_HOME: join(folder, 'file') });
    expect(await writeCached(path, parseMachine(EXAMPLE, 'example'))).toBe(false);
    expect(await readCached(path)).toBeNull();
  });
});

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  return expect.unreachable();
}
