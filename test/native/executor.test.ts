import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import type { Fence } from '../../src/backend/backend.js';
import { loadHostAddon } from '../../src/backend/cpu/binding.js';
import { CpuBackend, cpuVariants, createCpuBackend, useCpuVariant } from '../../src/backend/cpu/cpu.js';
import { readOutputs } from '../../src/backend/outputs.js';
import { DEVICE_WORD, HOST_WORD, TURN_HEADER } from '../../src/backend/turns.js';
import { makeList, makeStep, randomFloats, type Shape } from './lists.js';

const SMALL: Shape = {
  sizes: { maxRows: 4, maxOutputs: 2, slots: 2, context: 64 },
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  vocabulary: 64,
  k: 5,
  window: 0,
};

const opened: CpuBackend[] = [];
function open(threads: number): CpuBackend {
  const backend = createCpuBackend({ threads });
  opened.push(backend);
  return backend;
}
afterAll(() => Promise.all(opened.map((backend) => backend.dispose())));

/** All results of passes that fill two slots, first in one batch of rows, then token by token. */
async function runPasses(backend: CpuBackend, shape: Shape): Promise<Buffer> {
  const { ops, bindings, results } = makeList(backend, shape);
  const list = backend.record(ops, bindings);
  const batch = Math.floor(shape.sizes.maxRows / 2);
  backend.submit(list, makeStep(shape, [0, 1], 0, batch));
  const last = shape.sizes.context - 20;
  for (let position = batch; position < last; position += shape.sizes.maxRows) {
    backend.submit(list, makeStep(shape, [1], position, Math.min(shape.sizes.maxRows, last - position)));
  }
  for (let i = 0; i < 10; i++) backend.submit(list, makeStep(shape, [1, 0], last + i, 1));
  const read = await Promise.all(results.map((range) => backend.read(range)));
  list.dispose();
  for (const { memory } of [
    ...bindings.buffers.values(),
    ...[...bindings.weights.values()].map(({ range }) => range),
  ]) {
    memory.free();
  }
  return Buffer.concat(read.map((bytes) => new Uint8Array(bytes)));
}

describe('results', () => {
  // Several splits of 256 positions, several waves, chunks and blocks of logits; and heads that fill no vector.
  const shapes: readonly (readonly [string, Shape])[] = [
    [
      'long context, grouped heads',
      {
        sizes: { maxRows: 200, maxOutputs: 2, slots: 2, context: 700 },
        ...{ heads: 8, kvHeads: 2, headDim: 64, vocabulary: 9000, k: 256, window: 0 },
      },
    ],
    [
      'one head each, a window, odd heads',
      {
        sizes: { maxRows: 150, maxOutputs: 2, slots: 2, context: 700 },
        ...{ heads: 8, kvHeads: 8, headDim: 20, vocabulary: 500, k: 7, window: 300 },
      },
    ],
    [
      'more heads in a group than one call takes',
      {
        sizes: { maxRows: 40, maxOutputs: 2, slots: 2, context: 600 },
        ...{ heads: 40, kvHeads: 1, headDim: 16, vocabulary: 321, k: 321, window: 0 },
      },
    ],
  ];
  it.each(shapes)('are the same bits for any number of workers: %s', async (_, shape) => {
    for (const variant of cpuVariants()) {
      useCpuVariant(variant);
      const one = await runPasses(open(1), shape);
      for (const threads of [2, 3]) {
        const other = await runPasses(open(threads), shape);
        expect(other.equals(one), `${variant}, ${threads} threads`).toBe(true);
      }
    }
    useCpuVariant(cpuVariants()[0]);
  });

  it('of attention do not depend on the other rows of the pass', async () => {
    const backend = open(2);
    const [heads, kvHeads, headDim, context, rows] = [6, 2, 32, 600, 40];
    const sizes = { maxRows: rows, maxOutputs: 1, slots: 1, context };
    const halves = (seed: number) =>
      new Uint8Array(
        Uint16Array.from(randomFloats(kvHeads * context * headDim, seed), (x) => 0x3000 + 0x800 * x).buffer,
      );
    const queries = new Uint8Array(randomFloats(rows * heads * headDim, 3).buffer);
    const place = (bytes: Uint8Array) => {
      const memory = backend.allocateHost(bytes.length, 'test');
      memory.view(0, bytes.length).set(bytes);
      return { memory, offset: 0, bytes: bytes.length };
    };
    const buffers = new Map([
      ['q', place(queries)],
      ['k', place(halves(1))],
      ['v', place(halves(2))],
      ['out', place(new Uint8Array(queries.length))],
    ]);
    const heading = { q: 'q', kCache: 'k', vCache: 'v', out: 'out', heads, kvHeads, headDim };
    const op = { kind: 'attention', ...heading, scale: 0.3, window: 500 } as const;
    const list = backend.record([op], { weights: new Map(), buffers, sizes });
    const shape: Shape = { sizes, heads, kvHeads, headDim, vocabulary: 1, k: 1, window: 500 };
    backend.submit(list, makeStep(shape, [0], context - rows, rows));
    const together = new Uint8Array(await backend.read(buffers.get('out')!));
    const rowBytes = 4 * heads * headDim;
    for (let row = 0; row < rows; row++) {
      buffers
        .get('q')!
        .memory.view(0, rowBytes)
        .set(queries.subarray(row * rowBytes, (row + 1) * rowBytes));
      backend.submit(list, makeStep(shape, [0], context - rows + row, 1));
      const alone = new Uint8Array(await backend.read({ ...buffers.get('out')!, bytes: rowBytes }));
      expect(alone).toEqual(together.slice(row * rowBytes, (row + 1) * rowBytes));
    }
  });

  it('of top-k hold for NaN, infinite and equal logits', async () => {
    const backend = open(2);
    const [width, k] = [20_000, 256];
    const input = backend.allocateHost(4 * width, 'logits');
    const out = backend.allocateHost(16 + 8 * k, 'candidates');
    const range = (memory: typeof input) => ({ memory, offset: 0, bytes: memory.bytes });
    const list = backend.record([{ kind: 'top-k', input: 'x', out: 'y', width, k }], {
      weights: new Map(),
      buffers: new Map([
        ['x', range(input)],
        ['y', range(out)],
      ]),
      sizes: { maxRows: 1, maxOutputs: 1, slots: 1, context: 1 },
    });
    const shape: Shape = { ...SMALL, sizes: { maxRows: 1, maxOutputs: 1, slots: 1, context: 1 }, vocabulary: width };
    const best = async (logits: (token: number) => number) => {
      const values = Float32Array.from({ length: width }, (_, token) => logits(token));
      input.view(0, input.bytes).set(new Uint8Array(values.buffer));
      backend.submit(list, makeStep(shape, [0], 0, 1));
      return readOutputs(await backend.read(range(out)), 1, k)[0];
    };
    const first = Uint32Array.from({ length: k }, (_, i) => i);
    const equal = await best(() => 3);
    expect(equal.tokens).toEqual(first);
    expect(equal.logSumExp).toBeCloseTo(3 + Math.log(width), 5);
    const ascending = await best((token) => token / width);
    expect(ascending.tokens).toEqual(first.map((i) => width - 1 - i));
    const zeros = await best((token) => (token % 2 === 0 ? -0 : 0));
    expect(zeros.tokens).toEqual(first);
    const nothing = await best(() => Number.NEGATIVE_INFINITY);
    expect(nothing.tokens).toEqual(first);
    expect(nothing.logSumExp).toBe(Number.NEGATIVE_INFINITY);
    const few = await best((token) => (token % 1000 === 7 ? token : Number.NEGATIVE_INFINITY));
    expect([...few.tokens.slice(0, 21)]).toEqual([...Array.from({ length: 20 }, (_, i) => 19_007 - 1000 * i), 0]);
    const numbers = await best((token) => (token % 3 === 0 ? token : Number.NaN));
    expect(numbers.tokens).toEqual(first.map((i) => 19_998 - 3 * i));
    expect(numbers.logSumExp).toBeNaN();
    const none = await best(() => Number.NaN);
    expect(none.tokens).toEqual(first);
    expect(none.logits.every(Number.isNaN)).toBe(true);
  });
});

describe('the executor', () => {
  it('runs jobs in the order of their calls, each with the step as it was', async () => {
    const backend = open(2);
    const { ops, bindings } = makeList(backend, SMALL);
    const list = backend.record(ops.slice(0, 1), bindings);
    const out = { ...bindings.buffers.get('x')!, bytes: 4 * SMALL.heads * SMALL.headDim };
    const step = makeStep(SMALL, [0], 0, 1);
    const fences: Fence[] = [];
    const reads: Promise<ArrayBuffer>[] = [];
    for (let i = 0; i < 300; i++) {
      step.words[4] = i % SMALL.vocabulary;
      fences.push(backend.submit(list, step));
      reads.push(backend.read(out));
      step.words[4] = 0xffffffff;
    }
    const results = await Promise.all(reads);
    for (let i = SMALL.vocabulary; i < 300; i++) expect(results[i]).toEqual(results[i % SMALL.vocabulary]);
    expect(new Set(results.map((bytes) => Buffer.from(bytes).toString('hex'))).size).toBe(SMALL.vocabulary);
    await Promise.all(fences.reverse().map((fence) => backend.wait(fence)));
  });

  it('copies between memories, large ones too, after what was submitted before', async () => {
    const backend = open(2);
    const bytes = 5_000_003;
    const [from, to] = ['from', 'to'].map((label) => backend.allocateHost(bytes, label));
    const view = from.view(0, bytes);
    for (let i = 0; i < bytes; i++) view[i] = i * 31;
    const fence = backend.copy(
      { memory: from, offset: 3, bytes: bytes - 3 },
      { memory: to, offset: 0, bytes: bytes - 3 },
    );
    await backend.wait(fence);
    expect(Buffer.from(to.view(0, bytes - 3)).equals(Buffer.from(from.view(3, bytes - 3)))).toBe(true);
    expect(to.view(bytes - 3, 3)).toEqual(new Uint8Array(3));
    const bad = expect.objectContaining({ code: 'internal' });
    const part = (memory: typeof from, offset: number, size: number) => ({ memory, offset, bytes: size });
    for (const [a, b] of [
      [part(from, 0, 4), part(to, 0, 5)],
      [part(from, bytes, 1), part(to, 0, 1)],
      [part(from, 0, 10), part(from, 5, 10)],
    ] as const) {
      expect(() => backend.copy(a, b)).toThrow(bad);
    }
  });

  it('does not block the main thread', async () => {
    const backend = open(2);
    const memory = [0, 1].map(() => backend.allocateHost(64 << 20, 'test'));
    const range = (index: number) => ({ memory: memory[index], offset: 0, bytes: 64 << 20 });
    let fence: Fence | undefined;
    const started = performance.now();
    for (let i = 0; i < 40; i++) fence = backend.copy(range(i % 2), range(1 - (i % 2)));
    const submitted = performance.now() - started;
    await backend.wait(fence!);
    expect(submitted).toBeLessThan((performance.now() - started) / 4);
  });

  it('measures what memory delivers', async () => {
    const bandwidth = await open(2).measureReadBandwidth(64 << 20);
    expect(bandwidth).toBeGreaterThan(2e8);
    expect(bandwidth).toBeLessThan(1e13);
  });

  it('refuses lists with freed memory, foreign fences and thread counts that make no sense', () => {
    const backend = open(1);
    const { ops, bindings } = makeList(backend, SMALL);
    const list = backend.record(ops, bindings);
    bindings.weights.get('gate')!.range.memory.free();
    const internal = expect.objectContaining({ code: 'internal' });
    expect(() => backend.submit(list, makeStep(SMALL, [0], 0, 1))).toThrow(internal);
    expect(() => backend.record(ops, bindings)).toThrow(internal);
    list.dispose();
    expect(() => backend.submit(list, makeStep(SMALL, [0], 0, 1))).toThrow(internal);
    expect(() => backend.wait({ backend: 'cuda' })).toThrow(internal);
    for (const threads of [0, -1, 1.5, 5000, Number.NaN]) {
      expect(() => createCpuBackend({ threads })).toThrow(expect.objectContaining({ code: 'bad-argument' }));
    }
    expect(() => useCpuVariant('sse9')).toThrow(expect.objectContaining({ code: 'bad-argument' }));
  });
});

describe('dispose', () => {
  it('ends after the pass that is running and rejects what has not begun', async () => {
    const backend = open(2);
    const { ops, bindings } = makeList(backend, SMALL);
    const list = backend.record(ops, bindings);
    const big = [0, 1].map(() => backend.allocateHost(256 << 20, 'test'));
    const range = (index: number) => ({ memory: big[index], offset: 0, bytes: 256 << 20 });
    const first = backend.copy(range(0), range(1));
    const waits: Promise<void>[] = [];
    for (let i = 0; i < 20; i++) waits.push(backend.wait(backend.copy(range(0), range(1))));
    waits.push(backend.wait(backend.submit(list, makeStep(SMALL, [0], 0, 1))));
    const settled = Promise.allSettled(waits);
    await backend.wait(first);
    await backend.dispose();
    await backend.dispose();
    const results = await settled;
    const last = results[results.length - 1];
    expect(last).toMatchObject({ status: 'rejected', reason: { code: 'cancelled' } });
    // Jobs complete in order: no success after the first rejection.
    const states = results.map(({ status }) => status).join(' ');
    expect(states).toMatch(/^(fulfilled )*(rejected ?)+$/);
    expect(() => backend.allocateHost(1, 'late')).toThrow(expect.objectContaining({ code: 'internal' }));
    await expect(backend.wait(first)).resolves.toBeUndefined();
    await expect(backend.read({ memory: big[0], offset: 0, bytes: 1 })).rejects.toMatchObject({ code: 'internal' });
  });

  // A process may end at any time: with jobs running, from a worker thread, by exit() or because nothing is left to do.
  const addon = fileURLToPath(new URL('../../build/Release/ntx_host.node', import.meta.url));
  const busy = `
    const { Memory, Executor } = require(${JSON.stringify(addon)});
    const [from, to] = [new Memory(2 ** 27), new Memory(2 ** 27)];
    const executor = new Executor(2, (completed) => console.log('completed', completed));
    for (let i = 0; i < 30; i++) executor.copy(from, 0, to, 0, 2 ** 27);`;
  const idle = `
    const { Memory, Executor } = require(${JSON.stringify(addon)});
    const executor = new Executor(2, (completed) => console.log('completed', completed));
    const memory = new Memory(100);
    executor.copy(memory, 0, memory, 50, 50);`;
  const inWorker = (code: string, then: string) => `
    const { Worker } = require('node:worker_threads');
    const worker = new Worker(${JSON.stringify(code)}, { eval: true });
    ${then}`;
  it.each([
    ['exit() while jobs run', `${busy} setTimeout(() => process.exit(0), 20);`, /^/],
    ['exit() at once', `${busy} process.exit(0);`, /^$/],
    ['nothing left to do', idle, /^completed 1\n$/],
    ['a worker is terminated', inWorker(busy, 'setTimeout(() => worker.terminate(), 100);'), /^/],
    ['a worker ends', inWorker(idle, ''), /^completed 1\n$/],
  ])('is not needed: %s', async (_, code, output) => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', code]);
    expect(stderr).toBe('');
    expect(stdout).toMatch(output);
  });
});

describe('threads', () => {
  it('that the system does not start are an error', async () => {
    const addon = fileURLToPath(new URL('../../build/Release/ntx_host.node', import.meta.url));
    const code = `
      const { Executor } = require(${JSON.stringify(addon)});
      try { new Executor(1024, () => {}); } catch (error) { console.log(error.message); }`;
    // Stacks of 8 GiB in all, and less room.
    const limited = 'ulimit -s 8192 -v 6000000 && exec "$0" -e "$1"';
    const { stdout, stderr } = await promisify(execFile)('bash', ['-c', limited, process.execPath, code], {
      timeout: 60_000,
    });
    expect(stderr).toBe('');
    expect(stdout).toBe('Resource temporarily unavailable\n');
  });

  it('are named when they are not started', () => {
    const { addon } = loadHostAddon();
    class Executor {
      constructor() {
        throw new Error('no more');
      }
    }
    const message = 'the system does not start 7 threads: no more';
    const wanted = expect.objectContaining({ name: 'NtxError', code: 'unsupported', message });
    expect(() => new CpuBackend({ ...addon!, Executor: Executor as never }, 7, 0)).toThrow(wanted);
  });
});

describe('turns of the host', () => {
  const words = (memory: { view(offset: number, bytes: number): Uint8Array }) => {
    const { buffer, byteOffset } = memory.view(0, TURN_HEADER);
    return new Uint32Array(buffer, byteOffset, TURN_HEADER / 4);
  };
  const prepare = (backend: CpuBackend) => {
    const { ops, bindings, results } = makeList(backend, SMALL);
    const shared = backend.allocateHost(TURN_HEADER, 'words of a turn');
    return { list: backend.record(ops, bindings), results, shared, told: words(shared) };
  };

  it('are waited for, run the list, and are told when they are done', async () => {
    const backend = createCpuBackend({ threads: 2, besideDevice: true });
    opened.push(backend);
    const { list, results, shared, told } = prepare(backend);
    told[DEVICE_WORD / 4] = 2 ** 32 - 2;
    const first = backend.takeTurn(list, makeStep(SMALL, [0], 0, 2), 0, shared, 2 ** 32 - 1);
    const second = backend.takeTurn(list, makeStep(SMALL, [1], 0, 2), 0, shared, 0);
    await sleep(20);
    expect(told[HOST_WORD / 4]).toBe(0);
    told[DEVICE_WORD / 4] = 2 ** 32 - 1;
    await backend.wait(first);
    expect(told[HOST_WORD / 4]).toBe(2 ** 32 - 1);
    const { began, ended } = backend.turnTimes(first);
    expect(began).toBeLessThanOrEqual(ended);
    expect(ended).toBeLessThanOrEqual(performance.now());
    // Numbers wrap around.
    told[DEVICE_WORD / 4] = 0;
    await backend.wait(second);
    expect(told[HOST_WORD / 4]).toBe(0);
    const turned = await Promise.all(results.map((range) => backend.read(range)));
    backend.submit(list, makeStep(SMALL, [0], 0, 2));
    backend.submit(list, makeStep(SMALL, [1], 0, 2));
    expect(await Promise.all(results.map((range) => backend.read(range)))).toEqual(turned);
  });

  it('that never come are given back when the backend is disposed: a device would wait for ever', async () => {
    const backend = createCpuBackend({ threads: 1 });
    const { list, shared, told } = prepare(backend);
    const fences = [1, 2].map((turn) => backend.takeTurn(list, makeStep(SMALL, [0], 0, 1), 0, shared, turn));
    const waits = Promise.allSettled(fences.map((fence) => backend.wait(fence)));
    let last = 0;
    const { free } = shared;
    // Its pages are read once more before they are given back.
    shared.free = () => {
      last = told[HOST_WORD / 4];
      free.call(shared);
    };
    await backend.dispose();
    expect(last).toBe(2);
    expect((await waits)[1].status).toBe('rejected');
  });
});
