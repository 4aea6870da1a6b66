// How fast the file reader reads a file: every method, queue depth and block size, next to what plain preads reach in the same
// run (O_DIRECT, from threads that share no code with the reader). Rounds of all ways alternate and go through the file one after
// the other, so that a drive that others use as well is unfair to none; a file that is larger than what a virtual drive's host
// caches is fair to the drive. Drops the file from the page cache. Needs dist/ (npm run build).
//
//   node bench/disk.mjs FILE [--depths 1,4,16,32] [--blocks 256K,512K,1M,4M] [--bytes 128M] [--rounds 3] [--threads 1,4,16] [--save]

import { spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { loadHostAddon } from '../dist/backend/cpu/binding.js';
import { describeMachine } from '../dist/cli/machine.js';
import { checksum } from '../dist/streaming/checksum.js';
import { openReader } from '../dist/streaming/open-reader.js';
import { saveResult } from './save.mjs';

const { addon, reason } = loadHostAddon();
if (addon === null) throw new Error(`the host addon is not there: ${reason}`);
const MIB = 2 ** 20;

/** Of the plain preads: as large as the largest that a drive is usually sent at once. */
const PLAIN_BYTES = MIB;

function memoryOf(bytes) {
  const native = new addon.Memory(bytes);
  const whole = native.view(0, bytes).fill(1);
  return { bytes, label: 'target', view: (at, length) => whole.subarray(at, at + length), free: () => native.free() };
}

/** Reads [begin, end) each time it is asked to. */
async function plainThread({ path }) {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  const view = memoryOf(4 * MIB).view(0, PLAIN_BYTES); // on huge pages, as the reader's
  parentPort.on('message', ({ begin, end }) => {
    for (let at = begin; at < end; at += PLAIN_BYTES) {
      if (readSync(fd, view, 0, PLAIN_BYTES, at) !== PLAIN_BYTES) throw new Error(`a short read at byte ${at}`);
    }
    parentPort.postMessage(null);
  });
  parentPort.on('close', () => closeSync(fd));
}

/** A way that reads a range with plain preads from `threads` threads; `round` resolves when all of it has come. */
async function plainReads(path, threads) {
  const workers = Array.from({ length: threads }, () => new Worker(new URL(import.meta.url), { workerData: { path } }));
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('online', resolve))));
  const round = (begin, bytes) => {
    const part = bytes / threads;
    const ends = workers.map((worker, i) => {
      const end = new Promise((resolve) => worker.once('message', resolve));
      worker.postMessage({ begin: begin + i * part, end: begin + (i + 1) * part });
      return end;
    });
    return Promise.all(ends);
  };
  return { round, close: () => Promise.all(workers.map((worker) => worker.terminate())) };
}

/** The same with the reader, at its full depth; `skew`: bytes by which memory is not aligned. */
async function readerReads(path, options, skew = 0) {
  const reader = await openReader([path], options);
  const { maxBytes, depth } = reader;
  const memory = memoryOf(depth * maxBytes + 4096);
  reader.attach?.([{ memory, offset: 0, bytes: memory.bytes }]);
  const round = (begin, bytes) => {
    let next = begin;
    const lane = async (i) => {
      while (next < begin + bytes) {
        const offset = next;
        next += maxBytes;
        await reader.read({ file: 0, offset, bytes: maxBytes, memory, at: i * maxBytes + skew });
      }
    };
    return Promise.all(Array.from({ length: depth }, (_, i) => lane(i)));
  };
  const close = async () => {
    await reader.close();
    memory.free();
  };
  return { round, close, name: skew > 0 ? `${reader.name}, memory not aligned` : reader.name };
}

function dropCache(path) {
  spawnSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
}

async function checksumRate() {
  const bytes = 256 * MIB;
  const memory = memoryOf(bytes);
  let best = 0;
  for (let i = 0; i < 3; i++) {
    const started = performance.now();
    await checksum({ memory, offset: 0, bytes });
    best = Math.max(best, bytes / ((performance.now() - started) / 1000));
  }
  memory.free();
  return best;
}

const size = (text) => Number(text.replace(/[KM]$/, '')) * { K: 1024, M: MIB }[text.at(-1)];
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** What is compared: preads without the reader, the reader's settings, and its ways around O_DIRECT's rules. */
async function waysOf(path, { threads: threadCounts, depths, blocks }) {
  const numbers = (text) => text.split(',').map(Number);
  const methods = addon.ioUringInfo().unavailable === '' ? ['io_uring', 'pread'] : ['pread'];
  const ways = [];
  for (const threads of numbers(threadCounts)) {
    const name = `plain pread, O_DIRECT, ${threads} x 1 MiB`;
    ways.push({ kind: 'plain', name, ...(await plainReads(path, threads)) });
  }
  for (const method of methods) {
    for (const depth of numbers(depths)) {
      for (const block of blocks.split(',')) {
        const options = { method, direct: true, depth, maxBytes: size(block) };
        ways.push({ kind: 'reader', ...(await readerReads(path, options)) });
      }
    }
  }
  const usual = { method: methods[0], direct: true, depth: 16, maxBytes: MIB / 2 };
  ways.push({ kind: 'bounced', ...(await readerReads(path, usual, 100)) });
  ways.push({ kind: 'buffered', ...(await readerReads(path, { ...usual, method: 'pread', direct: false })) });
  return ways;
}

async function main() {
  const { values, positionals } = parseArgs({
    options: {
      depths: { type: 'string', default: '1,4,16,32' },
      blocks: { type: 'string', default: '256K,512K,1M,4M' },
      threads: { type: 'string', default: '1,4,16' },
      bytes: { type: 'string', default: '128M' },
      rounds: { type: 'string', default: '3' },
      save: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  const [path] = positionals;
  if (path === undefined) throw new Error('expected a FILE');
  const ways = await waysOf(path, values);
  const rates = ways.map(() => []);
  const fileBytes = statSync(path).size;
  const bytes = size(values.bytes);
  if (fileBytes < 2 * bytes) throw new Error(`${path}: expected at least ${2 * bytes} bytes, or smaller --bytes`);
  let begin = 0;
  for (let i = 0; i < Number(values.rounds) * ways.length; i++) {
    const way = ways[i % ways.length];
    if (way.kind === 'buffered') dropCache(path);
    const started = performance.now();
    await way.round(begin, bytes);
    rates[i % ways.length].push(bytes / ((performance.now() - started) / 1000));
    begin = begin + 2 * bytes > fileBytes ? 0 : begin + bytes;
  }
  for (const way of ways) await way.close();

  const rows = ways.map(({ kind, name }, i) => ({ kind, name, best: Math.max(...rates[i]), median: median(rates[i]) }));
  const best = (kind) => Math.max(...rows.filter((row) => row.kind === kind).map((row) => row.best));
  const report = {
    machine: describeMachine(),
    file: { bytes: fileBytes, bytesARound: bytes },
    peak: { plain: best('plain'), reader: best('reader'), share: best('reader') / best('plain') },
    checksum: await checksumRate(),
    rows,
  };
  print(report);
  if (values.save) saveResult('disk', report);
}

function print(report) {
  const mb = (rate) => `${(rate / 1e6).toFixed(0)} MB/s`.padStart(11);
  for (const { name, best, median } of report.rows)
    console.log(`${name.padEnd(52)}${mb(best)} best ${mb(median)} median`);
  const { plain, reader, share } = report.peak;
  console.log(`peak: plain ${mb(plain).trim()}, reader ${mb(reader).trim()}: ${(share * 100).toFixed(1)} %`);
  console.log(`checksum: ${(report.checksum / 1e9).toFixed(1)} GB/s`);
}

if (!isMainThread) await plainThread(workerData);
else await main();
