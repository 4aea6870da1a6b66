// What streaming does to processes: memory of a load, Ctrl-C, several of them on one model, files that are replaced.
import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadModel } from '../../src/index.js';
import { FABLE } from './files.js';
import { ntx } from './program.js';

const MEGABYTE = 1e6;
/** Node, code, and what a load needs beside weights and staging. */
const MOST_BESIDE = 300 * MEGABYTE;
const SMALL = ['--backend', 'cpu', '--threads', '2', '--ram', '17MB'];
const WRITE = ['run', FABLE, '-p', 'Once upon a time', '-n', '24', '--temperature', '0', '--context', '96'];

let folder: string;
let env: Record<string, string>;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ntx-process-'));
  env = { XDG_CACHE_HOME: folder };
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a model of half a gigabyte', () => {
  let path: string;

  beforeAll(async () => {
    path = join(folder, 'half.gguf');
    const shape = ['llama-1b', path, '--type', 'Q8_0', '--layers', '7', '--vocabulary', '32000'];
    expect((await ntx(['synth', ...shape])).status).toBe(0);
  });

  const bench = async (...flags: string[]) => {
    const few = ['--tokens', '1', '--prompt-tokens', '1', '--repeat', '1', '--json'];
    const { status, stdout, stderr } = await ntx(['bench', path, '--backend', 'cpu', ...few, ...flags], { env });
    expect([status, stderr]).toEqual([0, '']);
    return JSON.parse(stdout).memory as { weights: number; buffers: number; peakOfLoad: number };
  };

  test('is loaded without being held twice', async () => {
    const { weights, buffers, peakOfLoad } = await bench();
    expect(weights).toBeGreaterThan(1.5 * MOST_BESIDE);
    expect(peakOfLoad).toBeLessThan(weights + buffers + MOST_BESIDE);
  });

  test('takes what --ram says and little more', async () => {
    // The first run measures the machine, which takes memory of its own.
    const flags = ['--ram', '200MB'];
    await bench(...flags);
    const { weights, peakOfLoad } = await bench(...flags);
    expect(weights).toBeLessThan(200 * MEGABYTE);
    expect(peakOfLoad).toBeLessThan(200 * MEGABYTE + MOST_BESIDE);
  });

  test('gives all back within a second when its load is cancelled', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const before = process.memoryUsage().rss;
    let cancelled = 0;
    const onProgress = ({ loadedBytes }: { loadedBytes: number }) => {
      if (loadedBytes === 0 || cancelled > 0) return;
      cancelled = performance.now();
      controller.abort();
    };
    await expect(loadModel(path, { backend: 'cpu', signal, onProgress })).rejects.toMatchObject({ code: 'cancelled' });
    expect(performance.now() - cancelled).toBeLessThan(1000);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * MEGABYTE);
  });
});

test('Ctrl-C ends a process that streams within a second', async () => {
  let killed = 0;
  const onOutput = (child: { kill(signal: 'SIGINT'): void }) => {
    if (killed > 0) return;
    killed = performance.now();
    child.kill('SIGINT');
  };
  const long = ['run', FABLE, '-p', 'Once upon a time', '--ignore-eos', '--context', '400', ...SMALL];
  expect((await ntx(long, { env, onOutput })).status).toBe(130);
  expect(performance.now() - killed).toBeLessThan(1000);
});

test('two processes stream one model at once', async () => {
  const resident = await ntx([...WRITE, '--backend', 'cpu'], { env });
  const both = await Promise.all([1, 2].map(() => ntx([...WRITE, ...SMALL], { env })));
  expect(resident.stdout.length).toBeGreaterThan(20);
  for (const { status, stdout } of both) expect([status, stdout]).toEqual([0, resident.stdout]);
});

test('a file that is replaced while it is streamed is read to its end as it was', async () => {
  const path = join(folder, 'replaced.gguf');
  copyFileSync(FABLE, path);
  const model = await loadModel(path, { backend: 'cpu', ram: '17MB', threads: 2, context: 96 });
  const passes = async () => {
    model.sequence.truncate(0);
    const outputs = [];
    for (let token = 1; token < 20; token++) outputs.push(await model.sequence.extend([token]));
    return outputs;
  };
  const wanted = await passes();
  const other = join(folder, 'other');
  writeFileSync(other, new Uint8Array(1000));
  renameSync(other, path);
  expect(await passes()).toEqual(wanted);
  await model.dispose();
});
