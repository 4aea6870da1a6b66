// The program and the library with less memory than a model takes.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CpuBackend } from '../../src/backend/cpu/cpu.js';
import { loadModel, NtxError } from '../../src/index.js';
import { FABLE, FABLE_DRAFT } from './files.js';
import { ntx } from './program.js';

const SMALL = ['--backend', 'cpu', '--threads', '2', '--ram', '17MB'];
const WRITE = ['run', FABLE, '-p', 'Once upon a time', '-n', '24', '--temperature', '0', '--context', '96'];

let folder: string;
let env: Record<string, string>;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ntx-streaming-'));
  env = { XDG_CACHE_HOME: folder };
  vi.stubEnv('XDG_CACHE_HOME', folder);
});

afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

describe('the program', () => {
  test('writes the same with weights on disk, with and without checksums', async () => {
    const wanted = await ntx([...WRITE, '--backend', 'cpu'], { env });
    expect(wanted.status).toBe(0);
    for (const flags of [SMALL, [...SMALL, '--verify']]) {
      const { status, stdout, stderr } = await ntx([...WRITE, ...flags], { env });
      expect(stderr).not.toMatch(/error|internal/i);
      expect([status, stdout]).toEqual([0, wanted.stdout]);
    }
  });

  test('Ctrl-C ends it while it streams', async () => {
    const onOutput = (child: ChildProcess) => child.killed || child.kill('SIGINT');
    const long = ['run', FABLE, '-p', 'Once upon a time', '--ignore-eos', '--context', '400', ...SMALL];
    const { status, stderr } = await ntx(long, { env, onOutput });
    expect([status, stderr]).toEqual([130, expect.stringContaining('stopped')]);
  });

  test('bench prints predicted beside measured, and draws a pass', async () => {
    const drawn = join(folder, 'pass.svg');
    const small = ['--backend', 'cpu', '--threads', '2', '--ram', '15MB'];
    const bench = ['bench', FABLE, '--tokens', '8', '--prompt-tokens', '8', '--repeat', '1', ...small];
    const text = await ntx([...bench, '--timeline', drawn], { env });
    expect(text.stderr).toBe('');
    expect(text.stdout).toMatch(/Streamed:\n +predicted +measured\na pass +[\d.e+]+ ms +[\d.e+]+ ms\n/);
    expect(text.stdout).toMatch(/\na pass, with what the drives carried right before +[\d.e+]+ ms\n/);
    expect(text.stdout).toMatch(/\ndisk busy +[\d.]+ % +[\d.]+ %\n/);
    expect(readFileSync(drawn, 'utf8')).toMatch(/^<svg .*layer \d+ feed-forward: /s);
    const trace = join(folder, 'pass.json');
    const json = await ntx([...bench, '--timeline', trace, '--json'], { env });
    const { stream } = JSON.parse(json.stdout);
    expect(stream.busy.disk).toBeGreaterThan(0);
    expect(stream.bytes.disk).toBeGreaterThan(4e6);
    expect(stream.predicted.busy.disk).toBeGreaterThan(0);
    expect(stream.rounds.reduce((sum: number, { passes }: { passes: number }) => sum + passes, 0)).toBe(8);
    for (const { readSeconds, forecast } of stream.rounds) expect(forecast).toBeGreaterThanOrEqual(0.999 * readSeconds);
    const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8'));
    const reads = traceEvents.filter((event: { cat?: string }) => event.cat === 'disk');
    expect(reads.length).toBeGreaterThan(3);
    for (const { ph, ts, dur, name } of reads)
      expect([ph, ts >= 0 || ts < 0, dur > 0, name]).toEqual(['X', true, true, expect.any(String)]);
  });

  test.each([
    [
      ['bench', FABLE_DRAFT, '--backend', 'cpu', '--timeline', 'a.png'],
      /--timeline: expected .*\.svg or \.json, got "a\.png"/,
    ],
    [['bench', FABLE_DRAFT, '--backend', 'cpu', '--timeline', 'a.svg'], /--timeline: all weights .* resident/],
    [['run', FABLE, '-p', 'a', '--backend', 'cpu', '--ram', '12 horses'], /--ram: expected a number with a unit/],
    [['run', FABLE, '-p', 'a', '--backend', 'cpu', '--ram', '2MB'], /needs [\d.]+ MiB of RAM/],
    [
      ['run', FABLE, '-p', 'a', '--backend', 'cpu', '--ram', '15MB', '--vram', '1GB'],
      /--vram: the cpu backend computes in RAM/,
    ],
  ] as const)('%s is answered with a sentence', async (args, sentence) => {
    const { status, stderr } = await ntx(args, { env });
    expect(status).toBe(2);
    expect(stderr).toMatch(sentence);
  });
});

describe('memory that is gone between plan and load', () => {
  const options = { backend: 'cpu', ram: '17MB', threads: 2, context: 96 } as const;

  /** Allocations whose label matches fail as often as `times` says. */
  function takeMemory(label: RegExp, times: number): void {
    const allocate = CpuBackend.prototype.allocateHost;
    let failed = 0;
    vi.spyOn(CpuBackend.prototype, 'allocateHost').mockImplementation(function (this: CpuBackend, bytes, name) {
      if (label.test(name) && failed++ < times) throw new NtxError('no-memory', `${name}: no memory`, 'close programs');
      return allocate.call(this, bytes, name);
    });
  }

  test('is planned without once', async () => {
    takeMemory(/staging buffer/, 1);
    const model = await loadModel(FABLE, options);
    expect(model.chosen).not.toBe(null);
    expect(await model.sequence.extend([1, 2, 3])).not.toBe(null);
    await model.dispose();
    vi.restoreAllMocks();
  });

  test('is told when there is not enough then either', async () => {
    takeMemory(/staging buffer/, 100);
    await expect(loadModel(FABLE, options)).rejects.toMatchObject({ code: 'no-memory', message: /staging buffer 0/ });
    vi.restoreAllMocks();
  });
});
