import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Machine } from '../../src/placement/machine.js';
import { parseMachine } from '../../src/placement/machine-json.js';
import { FABLE } from './files.js';
import { type Ended, ntx } from './program.js';

const cache = mkdtempSync(join(tmpdir(), 'ntx-measure-'));
const env = { XDG_CACHE_HOME: cache };
afterAll(() => rmSync(cache, { recursive: true, force: true }));

describe('ntx measure on the cpu backend', () => {
  let ended: Ended;
  let machine: Machine;
  beforeAll(async () => {
    ended = await ntx(['measure', FABLE, '--backend', 'cpu', '--json'], { env });
    machine = parseMachine(ended.stdout, 'stdout');
  }, 60_000);

  test('says what it measured and where it is kept', () => {
    expect(ended.status).toBe(0);
    expect(ended.stderr).toMatch(/^measured in \d+\.\d s; kept in /);
    const kept = readdirSync(join(cache, 'ntx/machines'));
    expect(kept).toEqual([expect.stringMatching(/^cpu-[0-9a-f]{16}\.json$/)]);
    expect(JSON.parse(readFileSync(join(cache, 'ntx/machines', kept[0]), 'utf8'))).toEqual(machine);
  });

  test('finds rates that a machine can have', () => {
    const { device, host, disks, link } = machine;
    expect(link).toBeNull();
    // From a slow disk of a virtual machine to a server with many channels of memory.
    for (const rate of [device.readRate, host.readRate]) expect(rate > 1e8 && rate < 1e13, `${rate}`).toBe(true);
    expect(disks.length).toBe(1);
    expect(disks[0].rate > 1e6 && disks[0].rate < 1e12, `${disks[0].rate}`).toBe(true);
    expect(host.products.at(-1)!.threads).toBe(host.cores);
    // The embedded model's types come first, so that there was time for the one that most of it has.
    const [first] = Object.keys(device.products);
    expect(first).toBe('Q4_K');
    for (const points of Object.values(device.products)) {
      expect(points!.every(({ rate }) => rate > 1e6 && rate < 2 * device.readRate + 1e11)).toBe(true);
    }
  });

  test('a cache that was damaged is measured again, and a table is for people', async () => {
    const [name] = readdirSync(join(cache, 'ntx/machines'));
    writeFileSync(join(cache, 'ntx/machines', name), '{"format":');
    const again = await ntx(['measure', FABLE, '--backend', 'cpu'], { env });
    expect(again.status).toBe(0);
    expect(again.stdout).toMatch(/device reads +\d/);
    expect(again.stdout).toMatch(/disk .* in flight/);
    expect(again.stdout).toMatch(/Q4_K +\d+ threads +\d/);
    expect(() => parseMachine(readFileSync(join(cache, 'ntx/machines', name), 'utf8'), 'kept')).not.toThrow();
  });
});
