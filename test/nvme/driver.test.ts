// The driver against QEMU's controllers behind an emulated IOMMU: from discovery to reading, and what goes wrong on the way.
import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Machine } from '../../scripts/guest/machine.mjs';
import { compareReads, driveSteps, hashOf, type ReadStep, randomReads } from './drive-steps.js';
import { machineImages, SKIP_NVME } from './images.js';

const MIB = 2 ** 20;
const BYTES = 96 * MIB;
const DATA = SKIP_NVME ? new Uint8Array() : randomFillSync(new Uint8Array(BYTES));

/** Each at its own place on the bus. */
const PLAIN = '0000:00:05.0';
const LARGE_BLOCKS = '0000:00:06.0';
const FAULTY = '0000:00:07.0';
const REMOVABLE = '0000:01:00.0';
/** Functions of one device, which no IOMMU keeps apart; the other is in use. */
const SHARED = '0000:00:09.0';
const NEIGHBOUR = '0000:00:09.1';

/** Sectors whose reads fail: once, and always. Far from what the kernel's driver reads for partitions. */
const FAILS_ONCE = 40_000;
const FAILS_ALWAYS = 50_000;

let folder = '';
let machine: Machine;

function driveArguments(image: string): string[] {
  const file = (node: string) =>
    JSON.stringify({ driver: 'file', 'node-name': node, filename: image, 'read-only': true });
  const inject = (sector: number, once: boolean) => ({ event: 'none', iotype: 'read', errno: 5, sector, once });
  const faults = {
    driver: 'raw',
    'node-name': 'faults',
    'read-only': true,
    file: {
      driver: 'blkdebug',
      'node-name': 'debug',
      image: { driver: 'file', filename: image, 'read-only': true },
      'inject-error': [inject(FAILS_ONCE, true), inject(FAILS_ALWAYS, false)],
    },
  };
  return [
    ...['-blockdev', file('plain'), '-device', 'nvme,drive=plain,serial=plain,mdts=10,addr=5'],
    ...['-blockdev', file('large'), '-device', 'nvme,id=large,serial=large,addr=6'],
    ...['-device', 'nvme-ns,bus=large,drive=large,nsid=3,logical_block_size=4096,physical_block_size=4096'],
    ...['-blockdev', JSON.stringify(faults), '-device', 'nvme,id=faulty,drive=faults,serial=faulty,addr=7'],
    ...['-blockdev', file('shared'), '-device', 'nvme,drive=shared,serial=shared,addr=9.0,multifunction=on'],
    ...['-device', 'virtio-rng-pci,addr=9.1'],
    ...['-device', 'pcie-root-port,id=rootport,chassis=1,addr=8'],
    ...['-blockdev', file('removable'), '-device', 'nvme,id=removable,drive=removable,serial=removable,bus=rootport'],
  ];
}

const drive = (address: string, steps: readonly object[], options: object = {}) =>
  driveSteps(machine, address, steps, options);
const compare = (address: string, reads: readonly ReadStep[], options: object = {}) =>
  compareReads(machine, address, DATA, reads, options);
const hash = (offset: number, bytes: number) => hashOf(DATA, offset, bytes);

describe.skipIf(SKIP_NVME)('an emulated drive', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ntx-nvme-'));
    writeFileSync(join(folder, 'drive.img'), DATA);
    machine = await Machine.boot(machineImages(), { drives: driveArguments(join(folder, 'drive.img')) });
  }, 300_000);

  afterAll(async () => {
    await machine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('is listed with its driver and group, and status says what to do', async () => {
    const drives = JSON.parse(await machine.must('node /ntx/dist/main.js nvme list --json'));
    expect(drives.map((one: { address: string; serial: string }) => [one.address, one.serial])).toEqual([
      [PLAIN, 'plain'],
      [LARGE_BLOCKS, 'large'],
      [FAULTY, 'faulty'],
      [SHARED, 'shared'],
      [REMOVABLE, 'removable'],
    ]);
    expect(drives[0]).toMatchObject({ driver: 'nvme', uses: [], namespaces: [{ id: 1, bytes: BYTES }] });
    const status = await machine.must('node /ntx/dist/main.js nvme status');
    expect(status).toMatch(/ok\s+IOMMU\s+dmar0/);
    expect(status).toContain(`sudo ntx nvme bind ${PLAIN}`);
  });

  test('is refused where another device of its IOMMU group is in use', async () => {
    const { status, output } = await machine.run(`node /ntx/dist/main.js nvme bind ${SHARED} 2>&1`);
    expect([status, output]).toEqual([2, expect.stringContaining(`that are in use: ${NEIGHBOUR} (virtio-pci)`)]);
  });

  test('goes to vfio-pci and may be opened there', async () => {
    const all = [PLAIN, LARGE_BLOCKS, FAULTY, REMOVABLE];
    const bound = await machine.must(`node /ntx/dist/main.js nvme bind ${all.join(' ')} 2>&1`);
    expect(bound.match(/is with vfio-pci now/g)).toHaveLength(4);
    const [opened, closed] = await drive(PLAIN, []);
    expect(opened.info).toMatchObject({
      serial: 'plain',
      blockBytes: 512,
      bytes: BYTES,
      transferLimit: 4 * MIB,
      interrupts: true,
      hugePages: true,
    });
    expect(closed).toEqual({ closed: true });
  });

  test('reads ranges of every kind, byte by byte', async () => {
    const edges: ReadStep[] = [
      [0, 1, 0],
      [511, 2, 1],
      [4095, 4097, 4095],
      [BYTES - 1, 1, 3],
      [BYTES - 513, 513, 0],
      [32, 3 * MIB + 96, 32],
      [512, 8192, 2048],
      [MIB - 4, 2 * MIB + 8, 4092],
    ];
    const { stats } = await compare(PLAIN, [...edges, ...randomReads(60, 2 * MIB, BYTES)], { threads: 2 });
    expect(stats).toMatchObject({ retries: 0, aborts: 0, resets: 0 });
  });

  test('reads 64 MiB in commands of 3 MiB, with lists over several pages', async () => {
    // QEMU's own limit is 1024 pieces of memory a command, one short of what 4 MiB may need.
    const { info, stats } = await compare(PLAIN, [[12_345 * 4, 64 * MIB, 20]], { commandBytes: 3 * MIB, depth: 8 });
    expect(info).toMatchObject({ commandBytes: 3 * MIB, depth: 8 });
    expect(stats).toMatchObject({ commands: 24, bytes: 64 * MIB, bouncedBytes: 512 });
  });

  test('reads blocks of 4 KiB of another namespace, sleeping until interrupts', async () => {
    const options = { namespace: 3, spinMicroseconds: 0, threads: 2 };
    const { info, stats } = await compare(LARGE_BLOCKS, randomReads(40, MIB, BYTES), options);
    expect(info).toMatchObject({ blockBytes: 4096, transferLimit: 512 << 10, commandBytes: 512 << 10 });
    expect((stats as { sleeps: number }).sleeps).toBeGreaterThan(0);
  });

  test('reads without interrupts, one command at a time', async () => {
    const { info } = await compare(PLAIN, randomReads(20, MIB, BYTES), { interrupts: false, depth: 1 });
    expect(info).toMatchObject({ interrupts: false, depth: 1 });
  });

  test('refuses what the reader never asks for, with a sentence each', async () => {
    const steps = [
      { probe: { block: BYTES } },
      { probe: { namespace: 7 } },
      { probe: { blocks: 8200 } },
      { probe: { blocks: 16, prp2: 4096 + 8 } },
      { read: [0, 4096] },
    ];
    const [, range, namespace, length, prp, read] = await drive(PLAIN, steps);
    expect(range.error).toMatch(/beyond the end of the drive \(status 0\/0x80\)/);
    expect(namespace.error).toMatch(/no such namespace|refuses a field/);
    expect(length.error).toMatch(/refuses a field.*transfer above its limit.*0\/0x02/);
    expect(prp.error).toMatch(/alignment of an address \(status 0\/0x13\)/);
    expect(read.ok).toBe(hash(0, 4096));
  });

  test('reads again what failed once, and names what fails always', async () => {
    const steps = [
      { read: [FAILS_ONCE * 512, 8192] },
      { stats: 1 },
      { read: [FAILS_ALWAYS * 512 - 4096, 16_384] },
      { read: [0, MIB] },
    ];
    const [, once, stats, always, other] = await drive(FAULTY, steps);
    expect(once.ok).toBe(hash(FAILS_ONCE * 512, 8192));
    expect(stats.ok).toMatchObject({ retries: 1 });
    expect(always.error).toMatch(/cannot read these bytes any more \(an unrecovered media error\) \(status 2\/0x81\)/);
    expect(always.advice).toMatch(/copy the model/);
    expect(other.ok).toBe(hash(0, MIB));
  });

  test('waits through a stall, overtaken by other reads: the abort is refused, the read ends well', async () => {
    await machine.hmp('qemu-io -d /machine/peripheral/faulty "break read_aio A"');
    const others = randomReads(20, MIB, 8 * MIB);
    const steps = [{ overtake: [[8 * MIB, 4096, 0], ...others], watch: 1 }, { stats: 1 }, { read: [0, MIB] }];
    // A reset would make QEMU wait for the read that it holds back: the stall ends before that.
    const reading = drive(FAULTY, steps, { timeoutMilliseconds: 4000 });
    await machine.seen('"aborts":1');
    await machine.hmp('qemu-io -d /machine/peripheral/faulty "resume A"');
    const [, overtook, , stalled, stats, next] = await reading;
    expect(overtook).toEqual({ overtook: others.map(([offset, bytes]) => hash(offset, bytes)) });
    expect(stalled.ok).toBe(hash(8 * MIB, 4096));
    expect(stats.ok).toMatchObject({ aborts: 1 });
    expect(next.ok).toBe(hash(0, MIB));
  });

  test('stays right when it is slow', async () => {
    const limits = { bps: 0, bps_rd: 4 * MIB, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 };
    await machine.qmp('block_set_io_throttle', { id: '/machine/peripheral/faulty', ...limits });
    const { stats } = await compare(FAULTY, [[0, 6 * MIB, 0]]);
    expect((stats as { sleeps: number }).sleeps).toBeGreaterThan(0);
    await machine.qmp('block_set_io_throttle', { id: '/machine/peripheral/faulty', ...limits, bps_rd: 0 });
  });

  test('is there for the next process after the one before was killed in the middle of reads', async () => {
    const killed = await machine.run(
      `node /ntx/guest/drive.mjs '${JSON.stringify({ address: PLAIN, steps: [{ kill: 'SIGKILL' }] })}'`,
    );
    expect(killed.status).toBe(137);
    await compare(PLAIN, [[0, 4 * MIB, 0]]);
  });

  test('ends with a sentence when it is pulled out', async () => {
    const steps = [{ read: [0, MIB] }, { untilLost: 1 }, { read: [0, MIB] }];
    const reading = drive(REMOVABLE, steps);
    await machine.seen('"ok"');
    await machine.qmp('device_del', { id: 'removable' });
    const lines = await reading;
    expect(lines[1].ok).toBe(hash(0, MIB));
    expect(lines).toContainEqual({ lost: expect.stringMatching(/being removed/) });
    expect(lines.at(-2)).toMatchObject({ error: expect.stringMatching(/being removed/) });
  });

  test('goes back to the kernel: each by unbind, all by restore', async () => {
    expect(await machine.must(`node /ntx/dist/main.js nvme unbind ${PLAIN} 2>&1`)).toMatch(/is with nvme now/);
    const restored = await machine.must('node /ntx/dist/main.js nvme restore 2>&1');
    expect(restored).toContain(`${LARGE_BLOCKS} is with nvme now`);
    expect(restored).toContain(`${FAULTY} is with nvme now`);
    expect(await machine.must('node /ntx/dist/main.js nvme restore 2>&1')).toMatch(/has taken no drive/);
    // The kernel reads from it again.
    expect(await machine.must(`head -c 16 /dev/${await machine.blockDevice(PLAIN)} | od -An -tx1 | tr -d " \\n"`)).toBe(
      Buffer.from(DATA.subarray(0, 16)).toString('hex'),
    );
  });

  test('has never written where it was not allowed to', async () => {
    expect(await machine.dmaFaults()).toBe('');
  });
});
