import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it, test } from 'vitest';
import type { HostMemory } from '../../src/backend/backend.js';
import { loadHostAddon } from '../../src/backend/cpu/binding.js';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';
import { chooseMethod } from '../../src/streaming/choose-method.js';
import { HostReader } from '../../src/streaming/host-reader.js';
import { openReader, type ReaderOptions } from '../../src/streaming/open-reader.js';

const MIB = 2 ** 20;
const BYTES = 5 * MIB + 1234;
const backend = createCpuBackend({ threads: 1 });
const { addon } = loadHostAddon();
if (addon === null) throw new Error('these tests need the host addon');
const NO_URING = addon.ioUringInfo().unavailable;
if (NO_URING !== '') console.warn(`io_uring is not tested: ${NO_URING}`);

const folder = mkdtempSync(join(tmpdir(), 'ntx-reader-'));
const contents = [randomBytes(BYTES), randomBytes(300_001), Buffer.alloc(0)];
const paths = contents.map((bytes, i) => made(`shard-${i}`, bytes));
const readers: HostReader[] = [];
const memories: HostMemory[] = [];

afterEach(async () => {
  await Promise.all(readers.splice(0).map((reader) => reader.close()));
  for (const memory of memories.splice(0)) memory.free();
});
afterAll(async () => {
  await backend.dispose();
  rmSync(folder, { recursive: true, force: true });
});

function made(name: string, content: Uint8Array, where = folder): string {
  const path = join(where, name);
  writeFileSync(path, content);
  return path;
}

async function open(files: readonly string[], options: ReaderOptions): Promise<HostReader> {
  const reader = await openReader(files, options);
  if (!(reader instanceof HostReader)) throw new Error(`expected the addon's reader, got ${reader.name}`);
  readers.push(reader);
  return reader;
}

function allocate(bytes: number): HostMemory {
  const memory = backend.allocateHost(bytes, 'test');
  memories.push(memory);
  return memory;
}

const thrownBy = (promise: Promise<unknown>) =>
  promise.then(
    () => 'nothing',
    (error: unknown) => error,
  );

const small = { depth: 3, maxBytes: 65536 } as const;
const WAYS: [string, ReaderOptions][] = [
  ['pread, O_DIRECT', { method: 'pread', direct: true, ...small }],
  ['pread, cached bytes from the cache', { method: 'pread', direct: true, useCache: true, ...small }],
  ['pread, buffered', { method: 'pread', direct: false, ...small }],
  ['the default', {}],
];
if (NO_URING === '') WAYS.unshift(['io_uring, O_DIRECT', { method: 'io_uring', direct: true, ...small }]);

describe.each(WAYS)('%s', (_, options) => {
  it('reads any range to any place, many at a time, and touches nothing else', async () => {
    const reader = await open(paths, options);
    const range = fc.record({
      file: fc.integer({ min: 0, max: 1 }),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
      to: fc.double({ min: 0, max: 1, noNaN: true }),
      aligned: fc.boolean(),
      skew: fc.integer({ min: 0, max: 5000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(range, { minLength: 1, maxLength: 6 }), async (ranges) => {
        const reads = ranges.map(({ file, from, to, aligned, skew }) => {
          const unit = aligned ? 4096 : 1;
          const ends = [from, to].map((part) => Math.floor((part * contents[file].length) / unit) * unit);
          const [offset, end] = ends.sort((a, b) => a - b);
          const at = aligned ? 4096 : 4096 + skew;
          const memory = backend.allocateHost(at + end - offset + 4096, 'test');
          memory.view(0, memory.bytes).fill(0xa5);
          return { file, offset, bytes: end - offset, memory, at };
        });
        await Promise.all(reads.map((read) => reader.read(read)));
        for (const { file, offset, bytes, memory, at } of reads) {
          const found = Buffer.from(memory.view(at, bytes));
          expect(found.equals(contents[file].subarray(offset, offset + bytes))).toBe(true);
          const around = [...memory.view(at - 64, 64), ...memory.view(at + bytes, 64)];
          expect(around.every((byte) => byte === 0xa5)).toBe(true);
          memory.free();
        }
      }),
      { numRuns: 60 },
    );
  });

  it('reads a whole file, its unaligned end too, and never has more at the drive than its depth', async () => {
    const reader = await open(paths, options);
    const memory = allocate(BYTES);
    await reader.read({ file: 0, offset: 0, bytes: BYTES, memory, at: 0 });
    expect(hash(memory.view(0, BYTES))).toBe(hash(contents[0]));
    const { peak, direct, bounced, buffered } = reader.statistics();
    expect(peak).toBeLessThanOrEqual(reader.depth);
    if (options.method === 'io_uring') expect(peak).toBe(reader.depth); // threads may be late; a ring has all at once
    expect(direct + bounced + buffered).toBeGreaterThanOrEqual(Math.ceil(BYTES / reader.maxBytes));
    // Everything goes straight to its place, but for the last block, which the file fills in part.
    if (!options.useCache && reader.name.includes('O_DIRECT'))
      expect({ bounced, buffered }).toEqual({ bounced: 1, buffered: 0 });
  });

  it('names file and byte where the file is too short, and goes on', async () => {
    const reader = await open(paths, options);
    const memory = allocate(2 * MIB);
    const [beyond, over, good] = await Promise.all([
      thrownBy(reader.read({ file: 1, offset: 2 * MIB, bytes: 10, memory, at: 0 })),
      thrownBy(reader.read({ file: 1, offset: 4096, bytes: MIB, memory, at: 0 })),
      thrownBy(reader.read({ file: 0, offset: 0, bytes: MIB, memory, at: MIB })),
    ]);
    const ends = { name: 'NtxError', code: 'io', message: expect.stringContaining(`${paths[1]} ends at byte 300001;`) };
    expect(beyond).toMatchObject(ends);
    expect(over).toMatchObject(ends);
    expect(good).toBe('nothing');
    expect(hash(memory.view(MIB, MIB))).toBe(hash(contents[0].subarray(0, MIB)));
  });

  it('says so when the file was cut short or written to after it was opened', async () => {
    const path = made('victim', contents[0]);
    const reader = await open([path], options);
    const memory = allocate(BYTES);
    const whole = { file: 0, offset: 0, bytes: BYTES, memory, at: 0 };
    await reader.read(whole);
    truncateSync(path, 1_000_000);
    const short = { name: 'NtxError', code: 'io', message: expect.stringContaining('ends at byte 1000000;') };
    expect(await thrownBy(reader.read(whole))).toMatchObject(short);
    appendFileSync(path, contents[0].subarray(1_000_000));
    const changed = { name: 'NtxError', code: 'io', message: expect.stringContaining(`${path} was written to`) };
    expect(await thrownBy(reader.read(whole))).toMatchObject(changed);
    // Well again, for a reader that opens it anew.
    await (await open([path], options)).read(whole);
    expect(hash(memory.view(0, BYTES))).toBe(hash(contents[0]));
  });

  it('goes on with the file that it has open when another takes its name', async () => {
    const path = made('replaced', contents[0]);
    const reader = await open([path], options);
    renameSync(made('other', randomBytes(BYTES)), path);
    const memory = allocate(BYTES);
    await reader.read({ file: 0, offset: 0, bytes: BYTES, memory, at: 0 });
    expect(hash(memory.view(0, BYTES))).toBe(hash(contents[0]));
  });

  it('closes after the reads that drives have, and cancels the others', async () => {
    const reader = await open(paths, { ...options, depth: 1, maxBytes: 65536 });
    const memory = allocate(64 * MIB);
    const reads = Array.from({ length: 12 }, (_, i) =>
      thrownBy(reader.read({ file: 0, offset: 0, bytes: 5 * MIB, memory, at: 5 * MIB * i })),
    );
    await reader.close();
    const ends = await Promise.all(reads);
    const cancelled = ends.filter((end) => (end as { code?: string }).code === 'cancelled');
    expect(cancelled.length).toBeGreaterThan(0);
    expect(ends.filter((end) => end === 'nothing').length).toBe(12 - cancelled.length);
    const late = await thrownBy(reader.read({ file: 0, offset: 0, bytes: 1, memory, at: 0 }));
    expect(late).toMatchObject({ name: 'NtxError', code: 'cancelled' });
  });

  it('reads into memory that is attached, between reads or while some are in flight', async () => {
    const reader = await open(paths, options);
    const ranges = Array.from({ length: 3 }, () => ({ memory: allocate(4 * MIB), offset: 0, bytes: 4 * MIB }));
    const reads: Promise<void>[] = [];
    for (const range of ranges) {
      reader.attach([range]);
      for (const { memory } of ranges) {
        reads.push(reader.read({ file: 0, offset: 4096, bytes: 4 * MIB, memory, at: 0 }));
      }
    }
    await Promise.all(reads);
    for (const { memory } of ranges) {
      expect(hash(memory.view(0, 4 * MIB))).toBe(hash(contents[0].subarray(4096, 4096 + 4 * MIB)));
    }
  });
});

describe('opening', () => {
  it('names the file that cannot be opened', async () => {
    const missing = join(folder, 'missing');
    const error = await thrownBy(openReader([paths[0], missing]));
    expect(error).toMatchObject({ name: 'NtxError', code: 'io', message: expect.stringContaining(missing) });
    expect(await thrownBy(openReader([folder]))).toMatchObject({ message: expect.stringContaining('directory') });
  });

  it.each([{ depth: 0 }, { depth: 1.5 }, { maxBytes: 1000 }, { maxBytes: 2 ** 31 }])('refuses %o', async (options) => {
    expect(await thrownBy(openReader(paths, options))).toMatchObject({ name: 'NtxError', code: 'bad-argument' });
  });

  it('takes several hundred files without more threads for each', async () => {
    const reader = await open(new Array(300).fill(paths[1]), {});
    const memory = allocate(300 * 1000);
    await Promise.all(
      Array.from({ length: 300 }, (_, file) =>
        reader.read({ file, offset: 500 + file, bytes: 1000, memory, at: 1000 * file }),
      ),
    );
    const expected = Array.from({ length: 300 }, (_, file) => contents[1].subarray(500 + file, 1500 + file));
    expect(hash(memory.view(0, 300 * 1000))).toBe(hash(Buffer.concat(expected)));
    expect(Number(/Threads:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])).toBeLessThan(100);
  });

  it('asks for requests at multiples of 4096 at most, whatever blocks the file system has', () => {
    const blocks = (offsetAlignment: number) => {
      const files = () => [{ bytes: BYTES, drive: 1, direct: true, offsetAlignment, memoryAlignment: 4 }];
      const Reader = class {
        files = files;
      };
      const settings = { ioUring: false, direct: true, useCache: false, depth: 2, maxBytes: 4096 };
      return new HostReader({ ...addon, Reader: Reader as never }, paths, settings).alignment;
    };
    expect([512, 4096, 65536].map(blocks)).toEqual([512, 4096, 4096]);
  });

  it('gives every drive a queue of its own', async () => {
    const shm = mkdtempSync('/dev/shm/ntx-reader-');
    try {
      const reader = await open([paths[0], made('other', contents[1], shm)], {
        direct: true,
        depth: 1,
        maxBytes: 4096,
      });
      const memory = allocate(6 * MIB);
      let first = 0;
      const long = Array.from({ length: 20 }, () =>
        reader.read({ file: 0, offset: 0, bytes: 5 * MIB, memory, at: 0 }).then(() => first++),
      );
      await reader.read({ file: 1, offset: 0, bytes: 300_001, memory, at: 5 * MIB });
      expect(first).toBeLessThan(20); // with one queue for both, these would all have come before
      expect(hash(memory.view(5 * MIB, 300_001))).toBe(hash(contents[1]));
      await Promise.all(long);
    } finally {
      rmSync(shm, { recursive: true });
    }
  });

  it('reads a file system that is memory through the page cache', async () => {
    const shm = mkdtempSync('/dev/shm/ntx-reader-');
    try {
      const reader = await open([made('model', contents[0], shm)], { direct: true, method: 'pread' });
      expect(reader.name).toContain('buffered');
      const memory = allocate(BYTES);
      await reader.read({ file: 0, offset: 0, bytes: BYTES, memory, at: 0 });
      expect(hash(memory.view(0, BYTES))).toBe(hash(contents[0]));
    } finally {
      rmSync(shm, { recursive: true });
    }
  });

  it('takes from the page cache what is there, and does not add to it', async () => {
    const path = made('cached', contents[0]);
    const cold = await open([path], { direct: true, useCache: false });
    if (!cold.name.includes('O_DIRECT')) return; // the file system has no other way than its cache
    const memory = allocate(BYTES);
    const whole = { file: 0, offset: 0, bytes: BYTES, memory, at: 0 };
    const warm = await open([path], { direct: true, useCache: true });
    await warm.read(whole); // it has just been written
    expect(warm.statistics()).toMatchObject({ direct: 0 });
    expect(warm.statistics().buffered).toBeGreaterThan(0);
    await cold.read(whole);
    expect(cold.statistics()).toMatchObject({ buffered: 0 });
    expect(hash(memory.view(0, BYTES))).toBe(hash(contents[0]));
  });

  it('measures which way is faster', async () => {
    const settings = { ioUring: false, direct: true, useCache: false, depth: 4, maxBytes: 65536 };
    const method = await chooseMethod(addon, paths[0], settings);
    expect(typeof method.ioUring).toBe('boolean');
    expect(method.ioUring && !method.direct).toBe(false);
    expect(await chooseMethod(addon, paths[0], settings)).toBe(method);
  });
});

describe('a process', () => {
  const library = fileURLToPath(new URL('../../build/Release/ntx_host.node', import.meta.url));
  const bytes = statSync(paths[0]).size;
  const reading = (ioUring: boolean, then: string) => `
    const addon = require(${JSON.stringify(library)});
    const settings = { ioUring: ${ioUring}, direct: true, useCache: false, depth: 2, maxBytes: 4096 };
    let ended = 0;
    const reader = new addon.Reader([${JSON.stringify(paths[0])}], settings, (report) => { ended += report.length / 3; });
    const view = new addon.Memory(${bytes}).view(0, ${bytes});
    for (let i = 0; i < 20; i++) reader.read(0, 0, view);
    ${then}`;
  const inWorker = (code: string, then: string) => `
    const { Worker } = require('node:worker_threads');
    const worker = new Worker(${JSON.stringify(code)}, { eval: true });
    worker.on('error', (error) => { throw error; });
    ${then}`;
  const methods = NO_URING === '' ? [true, false] : [false];

  test.each(
    methods.flatMap((ioUring): [string, string, RegExp][] => [
      [
        `a worker is terminated (io_uring ${ioUring})`,
        inWorker(reading(ioUring, ''), 'setTimeout(() => worker.terminate(), 150);'),
        /^$/,
      ],
      [`the process exits (io_uring ${ioUring})`, reading(ioUring, 'setTimeout(() => process.exit(0), 5);'), /^$/],
      [
        `all has been read (io_uring ${ioUring})`,
        reading(ioUring, `process.on('exit', () => process.stdout.write('ended ' + ended));`),
        /^ended 20$/,
      ],
      [
        `a worker computes checksums (io_uring ${ioUring})`,
        inWorker(
          reading(ioUring, 'for (let i = 0; i < 50; i++) addon.checksum(view);'),
          'setTimeout(() => worker.terminate(), 60);',
        ),
        /^$/,
      ],
    ]),
  )('ends by itself when %s', async (_, code, expected) => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', code], { timeout: 30_000 });
    expect(stdout).toMatch(expected);
    expect(stderr).toBe('');
  });

  test.each(methods)('may drop a reader whose last report is still on its way (io_uring %s)', async (ioUring) => {
    // Closed and collected within one callback, behind which Node first frees what was collected, then reports.
    const code = `
      const closeOne = () => {
        ${reading(ioUring, '')}
        const pieces = ({ direct, bounced, buffered }) => direct + bounced + buffered;
        while (pieces(reader.statistics()) < ${Math.floor(bytes / 4096)});
        reader.close();
      };
      let left = 10;
      const next = () => {
        if (left-- === 0) return console.log('done');
        closeOne();
        gc();
        require('node:fs').stat('/', next);
      };
      require('node:fs').stat('/', next);`;
    const env = { ...process.env, MALLOC_PERTURB_: '165' }; // freed memory is overwritten (mallopt(3))
    const run = promisify(execFile)(process.execPath, ['--expose-gc', '-e', code], { env, timeout: 30_000 });
    expect(await run).toEqual({ stdout: 'done\n', stderr: '' });
  });

  it('is told that a reader needs a file', () => {
    const settings = { ioUring: false, direct: true, useCache: false, depth: 2, maxBytes: 4096 };
    expect(() => new addon.Reader([], settings, () => {})).toThrow('expected one at least');
  });
});

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
