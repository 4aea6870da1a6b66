import { randomFillSync } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { NtxError } from '../../src/errors.js';
import type { DriveOptions, SimSource } from '../../src/nvme/binding.js';
import { type DriveRun, NvmeDrive } from '../../src/nvme/drive.js';

const DATA = randomFillSync(new Uint8Array(9 << 20));

const open: NvmeDrive[] = [];

async function simulated(source: Partial<SimSource> = {}, options: DriveOptions = {}, onLost?: (why: string) => void) {
  const drive = await NvmeDrive.open({ kind: 'sim', data: DATA, ...source }, options, onLost);
  open.push(drive);
  return drive;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((drive) => drive.close()));
});

/** Reads runs into fresh memory that is 0xa5 elsewhere, and compares all of it. */
async function check(drive: NvmeDrive, bytes: number, runs: readonly DriveRun[], shift = 0): Promise<void> {
  const view = new Uint8Array(bytes + shift + 8).subarray(shift).fill(0xa5);
  const expected = Uint8Array.from(view);
  for (const { offset, bytes, at } of runs) expected.set(DATA.subarray(offset, offset + bytes), at);
  await drive.read(view, runs);
  expect(Buffer.compare(view, expected)).toBe(0);
}

const anyRun = fc
  .record({ offset: fc.nat(DATA.length - 1), bytes: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.nat(3 << 20)) })
  .map(({ offset, bytes }) => ({ offset, bytes: Math.min(bytes, DATA.length - offset), at: 0 }));

describe('reads of a simulated drive', () => {
  test('says what the drive is', async () => {
    const drive = await simulated(
      { serial: 'ntx 7', blockBytes: 4096, mdts: 5, queues: 3 },
      { threads: 8, depth: 5000 },
    );
    expect(drive.info).toMatchObject({
      serial: 'ntx 7',
      model: 'ntx simulated drive',
      blockBytes: 4096,
      bytes: 64 << 20,
      commandBytes: 128 << 10,
      transferLimit: 128 << 10,
      threads: 3,
      depth: 1023,
      interrupts: true,
    });
  });

  test('has one thread and one command at least', async () => {
    const drive = await simulated({}, { threads: 0, depth: 0, commandBytes: 0 });
    expect(drive.info).toMatchObject({ threads: 1, depth: 1, commandBytes: 512 });
    await check(drive, 5000, [{ offset: 3, bytes: 5000, at: 0 }]);
  });

  const variants: [string, Partial<SimSource>, DriveOptions][] = [
    ['plain', {}, {}],
    ['blocks of 4 KiB, two threads', { blockBytes: 4096 }, { threads: 2 }],
    [
      'out of order, small queues, odd doorbells',
      { jitterNanoseconds: 300_000, maxEntries: 6, doorbellShift: 3 },
      { threads: 3 },
    ],
    ['lists over several pages', { mdts: 11 }, { commandBytes: 8 << 20, depth: 4 }],
    ['commands of one page, no interrupts', { mdts: 1, hasInterrupts: false, latencyNanoseconds: 2000 }, {}],
    ['nothing can be pinned for a read', { lockLimit: 12 << 20 }, {}],
    ['no IOMMU: memory in parts that lie apart', { noIommu: true, mdts: 11 }, { commandBytes: 8 << 20, threads: 2 }],
    ['sleeps at once', { latencyNanoseconds: 100_000 }, { spinMicroseconds: 0, threads: 2 }],
  ];
  test.each(variants)('any bytes to any address: %s', async (_, source, options) => {
    const drive = await simulated(source, options);
    await fc.assert(
      fc.asyncProperty(anyRun, fc.nat(4100), (run, shift) => check(drive, run.bytes, [run], shift)),
      { numRuns: 60 },
    );
    await check(drive, DATA.length, [{ offset: 0, bytes: DATA.length, at: 0 }]);
    expect(drive.stats.dmaFaults).toBe(0);
  });

  test('several runs into one view, and many reads at once', async () => {
    const drive = await simulated({ jitterNanoseconds: 100_000 }, { threads: 2 });
    const runs = Array.from({ length: 40 }, (_, i) => ({
      offset: (i * 7919 * 331) % (8 << 20),
      bytes: 1 + i * 997,
      at: i * 40_000,
    }));
    await Promise.all(Array.from({ length: 30 }, (_, i) => check(drive, 40 * 40_000, runs.slice(0, i + 1), i)));
    expect(drive.stats.dmaFaults).toBe(0);
  });

  test('bytes go straight where the target is pinned and aligned, else through bounce buffers', async () => {
    const drive = await simulated();
    await check(drive, 1 << 20, [{ offset: 0, bytes: 1 << 20, at: 0 }]);
    expect(drive.stats.bouncedBytes).toBe(0);
    await check(drive, 1 << 20, [{ offset: 100, bytes: 1 << 20, at: 0 }], 0);
    // 412 bytes of the first block and 100 of the last; what lies between lands on a multiple of 4.
    expect(drive.stats.bouncedBytes).toBe(512);
    await check(drive, 1 << 20, [{ offset: 0, bytes: 1 << 20, at: 0 }], 1);
    expect(drive.stats.bouncedBytes).toBe(512 + (1 << 20));
  });

  test('memory that stays pinned is pinned once', async () => {
    const drive = await simulated();
    const view = new Uint8Array(2 << 20);
    const before = drive.stats.mappedBytes!;
    await drive.pin(view);
    const pinned = drive.stats.mappedBytes!;
    expect(pinned).toBeGreaterThanOrEqual(before + view.length);
    await drive.read(view, [{ offset: 512, bytes: view.length, at: 0 }]);
    expect(Buffer.compare(view, DATA.subarray(512, 512 + view.length))).toBe(0);
    expect(drive.stats.mappedBytes).toBe(pinned);
    await drive.unpin(view);
    expect(drive.stats.mappedBytes).toBe(before);
  });

  test('without an IOMMU every byte goes through the driver’s own memory, and no probe is made', async () => {
    const drive = await simulated({ noIommu: true });
    const view = new Uint8Array(1 << 20);
    await expect(drive.pin(view)).rejects.toThrow(/no memory but the driver's own/);
    await drive.read(view, [{ offset: 0, bytes: view.length, at: 0 }]);
    expect(Buffer.compare(view, DATA.subarray(0, view.length))).toBe(0);
    expect(drive.stats).toMatchObject({ bouncedBytes: view.length, dmaFaults: 0 });
    await expect(drive.probe({})).rejects.toThrow(/no probes without an IOMMU/);
  });

  test('reads of nothing, and beyond the end', async () => {
    const drive = await simulated({ bytes: 1 << 20 });
    await drive.read(new Uint8Array(8), [{ offset: 5, bytes: 0, at: 0 }]);
    const run = { offset: (1 << 20) - 4, bytes: 8, at: 0 };
    await expect(drive.read(new Uint8Array(8), [run])).rejects.toThrow(/beyond the drive's 1048576 bytes/);
    await expect(drive.read(new Uint8Array(7), [{ ...run, offset: 0 }])).rejects.toThrow(/beyond the view/);
  });

  test('close waits for the reads; later ones are refused', async () => {
    const drive = await simulated({ latencyNanoseconds: 5_000_000 }, { depth: 2 });
    const reads = Promise.all(
      Array.from({ length: 9 }, (_, i) => check(drive, 70_000, [{ offset: i, bytes: 70_000, at: 0 }])),
    );
    await drive.close();
    await reads;
    await expect(drive.read(new Uint8Array(8), [])).rejects.toThrow(/not open/);
  });
});

describe('faults', () => {
  const all = [{ offset: 0, bytes: DATA.length, at: 0 }];

  test('an error that passes is read again', async () => {
    const drive = await simulated({ faults: [{ kind: 'status', command: 2, type: 2, code: 0x81 }] });
    await check(drive, DATA.length, all);
    expect(drive.stats.retries).toBe(1);
  });

  test('an error that stays is told with its place, and others are read', async () => {
    const drive = await simulated(
      { faults: [{ kind: 'status', command: 0, times: 3, type: 2, code: 0x81 }] },
      { depth: 1 },
    );
    const read = drive.read(new Uint8Array(4096), [{ offset: 8192, bytes: 4096, at: 0 }]);
    await expect(read).rejects.toThrow(
      /at byte 8192 of the drive: the drive cannot read these bytes any more.*2\/0x81/,
    );
    await check(drive, DATA.length, all);
  });

  test('what the drive forbids to retry is not', async () => {
    const faults = [{ kind: 'status' as const, type: 0, code: 0x80, doNotRetry: true }];
    const drive = await simulated({ faults });
    await expect(drive.read(new Uint8Array(512), [{ offset: 0, bytes: 512, at: 0 }])).rejects.toThrow(/beyond the end/);
    expect(drive.stats.retries).toBe(0);
  });

  test('a stall is aborted and read again', async () => {
    const drive = await simulated({ faults: [{ kind: 'stall', command: 3 }] }, { timeoutMilliseconds: 30 });
    await check(drive, DATA.length, all);
    expect(drive.stats).toMatchObject({ aborts: 1, resets: 0, retries: 1 });
  });

  test('a stall that ends before the reset only costs time', async () => {
    const faults = [{ kind: 'stall' as const, command: 3, abortable: false, nanoseconds: 45_000_000 }];
    const drive = await simulated({ faults }, { timeoutMilliseconds: 30 });
    await check(drive, DATA.length, all);
    expect(drive.stats).toMatchObject({ aborts: 1, resets: 0, retries: 0 });
  });

  test('a stall that no abort ends takes a reset; both threads go on', async () => {
    const faults = [{ kind: 'stall' as const, command: 3, abortable: false }];
    const drive = await simulated({ faults, jitterNanoseconds: 50_000 }, { timeoutMilliseconds: 30, threads: 2 });
    await Promise.all([check(drive, DATA.length, all), check(drive, DATA.length, all)]);
    expect(drive.stats).toMatchObject({ aborts: 1, resets: 1 });
    expect(drive.stats.dmaFaults).toBe(0);
  });

  test('a fatal status is reset at once', async () => {
    const drive = await simulated({ faults: [{ kind: 'fatal', command: 4 }] }, { threads: 2 });
    await check(drive, DATA.length, all);
    expect(drive.stats).toMatchObject({ aborts: 0, resets: 1 });
  });

  test('a controller that fails again and again is given up, with a sentence', async () => {
    let lost = '';
    const drive = await simulated({ faults: [{ kind: 'fatal', times: 1e6 }] }, { threads: 2 }, (reason) => {
      lost = reason;
    });
    const read = () => drive.read(new Uint8Array(DATA.length), all);
    await expect(read()).rejects.toThrow(/not after it was reset/);
    expect([drive.stats.resets, lost]).toEqual([3, '']);
    await expect(read()).rejects.toThrow(/failed again after 3 resets/);
    expect(lost).toMatch(/failed again after 3 resets/);
    await expect(read()).rejects.toThrow(/failed again after 3 resets/);
  });

  test('reads that waited while others were given up are served too', async () => {
    const faults = [{ kind: 'fatal' as const, times: 3 }];
    const drive = await simulated({ faults }, { depth: 1 });
    const reads = Array.from({ length: 6 }, (_, i) => check(drive, 5000, [{ offset: i * 5000, bytes: 5000, at: 0 }]));
    const [first, ...others] = await Promise.allSettled(reads);
    expect(first).toMatchObject({
      status: 'rejected',
      reason: { message: expect.stringMatching(/after it was reset/) },
    });
    expect(others.map(({ status }) => status)).toEqual(others.map(() => 'fulfilled'));
  });

  /** Create queues, Identify, Abort, Set Features; Read. Deleting queues (00h, 04h) comes with close(). */
  const OPCODES = [0x01, 0x05, 0x06, 0x08, 0x09, 0x102];
  const anyFault = fc.record({
    kind: fc.constantFrom('status' as const, 'stall' as const, 'fatal' as const, 'gone' as const),
    command: fc.nat(60),
    times: fc.constantFrom(1, 2, 50),
    type: fc.constant(2),
    code: fc.constant(0x81),
    doNotRetry: fc.boolean(),
    abortable: fc.boolean(),
    nanoseconds: fc.constantFrom(0, 3_000_000),
  });
  test('whatever goes wrong, every read ends, those that succeed are right, and nothing but reads was asked for', async () => {
    const settings = fc.record({
      faults: fc.array(anyFault, { maxLength: 3 }),
      jitterNanoseconds: fc.constantFrom(0, 200_000),
      hasInterrupts: fc.boolean(),
      threads: fc.integer({ min: 1, max: 3 }),
      depth: fc.integer({ min: 1, max: 9 }),
      runs: fc.array(anyRun, { minLength: 1, maxLength: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(settings, async ({ threads, depth, runs, ...source }) => {
        const drive = await simulated(source, { threads, depth, timeoutMilliseconds: 15 });
        const reads = runs.map((run) => check(drive, run.bytes, [run]));
        for (const read of await Promise.allSettled(reads)) {
          if (read.status === 'rejected') expect(read.reason).toBeInstanceOf(NtxError);
        }
        expect(drive.stats.opcodes!.filter((opcode) => !OPCODES.includes(opcode))).toEqual([]);
        await drive.close();
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  test('a drive that is pulled out ends all reads with a sentence', async () => {
    let lost = '';
    const drive = await simulated({ faults: [{ kind: 'gone', command: 3 }] }, { threads: 2 }, (reason) => {
      lost = reason;
    });
    const reads = await Promise.allSettled(
      Array.from({ length: 5 }, () => drive.read(new Uint8Array(DATA.length), all)),
    );
    for (const read of reads)
      expect(String((read as PromiseRejectedResult).reason)).toMatch(/registers read as all ones/);
    expect(lost).toMatch(/registers read as all ones/);
  });

  test('a drive that the kernel wants back is given up', async () => {
    let lost = '';
    const drive = await simulated({ removalRequested: true }, {}, (reason) => {
      lost = reason;
    });
    await expect(drive.read(new Uint8Array(DATA.length), all)).rejects.toThrow(/being removed/);
    expect(lost).toMatch(/being removed/);
  });

  test('controllers that do not come up', async () => {
    await expect(simulated({ neverReady: true })).rejects.toThrow(/did not become ready .* within its 500 ms/);
    await expect(simulated({}, { namespace: 2 })).rejects.toThrow(/has 1 namespaces; number 2 is none/);
    await expect(simulated({ lockLimit: 4096 })).rejects.toThrow(/the limit is 4096/);
  });

  test('commands that the reader never makes are refused by the drive', async () => {
    const drive = await simulated();
    await expect(drive.probe({ block: 1 << 30 })).rejects.toThrow(/0\/0x80/);
    await expect(drive.probe({ namespace: 9 })).rejects.toThrow(/0\/0x0b/);
    await expect(drive.probe({ blocks: 3000 })).rejects.toThrow(/0\/0x02/);
    await expect(drive.probe({ prp1: 2 })).rejects.toThrow(/0\/0x13/);
    await drive.probe({ blocks: 2 });
  });
});

test('a worker thread that ends with a drive open does no harm', async () => {
  const { Worker } = await import('node:worker_threads');
  const addon = new URL('../../build/Release/ntx_vfio.node', import.meta.url).pathname;
  const code = `
    const { Drive } = require(${JSON.stringify(addon)});
    const drive = new Drive({}, () => {
      drive.read(new Uint8Array(1 << 20), Float64Array.of(0, 1 << 20, 0));
      require('node:worker_threads').parentPort.postMessage('reading');
    });
    drive.open({ kind: 'sim', latencyNanoseconds: 50e6 });`;
  const worker = new Worker(code, { eval: true });
  await new Promise((resolve) => worker.once('message', resolve));
  expect(await worker.terminate()).toBe(1);
});
