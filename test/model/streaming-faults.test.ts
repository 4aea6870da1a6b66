// What happens to streamed passes when reads fail, are late or are no longer wanted.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CpuBackend, createCpuBackend } from '../../src/backend/cpu/cpu.js';
import type { Output } from '../../src/backend/outputs.js';
import { openModel } from '../../src/index.js';
import { createForward, type ForwardOptions, type LoadedForward } from '../../src/load-forward.js';
import type { OpenedModel } from '../../src/open-model.js';
import { Sequence } from '../../src/sequence.js';
import { openReader } from '../../src/streaming/open-reader.js';
import type { LoadProgress } from '../../src/streaming/read-weights.js';
import { FaultyReader } from '../faulty-reader.js';
import { runBatches, SIZES } from '../streaming/invariance.js';
import { type PlanChoice, planOf } from '../streaming/plans.js';
import { TestReader } from '../streaming/test-reader.js';
import { FABLE_DRAFT } from './files.js';

const BATCHES = [
  [5, 2],
  [1, 0],
] as const;

/** Two thirds of the units are read from disk, through slots or where they are. */
const PLANS: readonly (readonly [string, PlanChoice])[] = [false, true].map((inPlace) => [
  inPlace ? 'read into staging' : 'copied to slots',
  { tiers: [2, 2, 0], slots: 2, staging: 3, turns: [0, 1, 2], alignment: 512, inPlace },
]);

describe.each(PLANS)('units %s', (_, choice) => {
  let opened: OpenedModel;
  let backend: CpuBackend;
  let wanted: Output[][];
  let reader: TestReader;
  let loaded: LoadedForward;

  const load = async (disturb: TestReader['disturb'] = null, verify = false) => {
    reader = new TestReader(opened.gguf.files.map(({ path }) => path));
    reader.disturb = disturb;
    return createForward(opened, backend, SIZES, { plan: planOf(opened, choice), reader, verify });
  };

  beforeAll(async () => {
    opened = await openModel(FABLE_DRAFT);
    backend = createCpuBackend({ threads: 2 });
    const resident = await createForward(opened, backend, SIZES);
    wanted = await runBatches(resident, BATCHES);
    await resident.free();
  });

  afterAll(() => backend?.dispose());

  test('a read that fails ends its pass with the sentence, and the next pass is right', async () => {
    loaded = await load();
    await runBatches(loaded, BATCHES);
    const reads = reader.count;
    for (const failing of [0, 1, 7, 20]) {
      const at = reader.count + failing;
      reader.disturb = (request, count) => {
        if (count === at) throw reader.failure(request);
      };
      // It may be a read ahead for the pass after the batches: that one begins it anew.
      const failed = await runBatches(loaded, BATCHES).then(
        () => null,
        (error) => error,
      );
      if (failed) expect(failed).toMatchObject({ code: 'io', message: expect.stringMatching(/fable.*at byte \d+/) });
      expect(reader.count).toBeGreaterThan(at);
      expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    }
    expect(reads).toBeGreaterThan(20);
    await loaded.free();
  });

  test('while every read fails every pass does; when they work again, so do passes', async () => {
    loaded = await load();
    await sleep(50);
    reader.disturb = (request) => {
      throw reader.failure(request);
    };
    await runBatches(loaded, BATCHES).catch(() => {});
    for (let i = 0; i < 3; i++) await expect(runBatches(loaded, BATCHES)).rejects.toMatchObject({ code: 'io' });
    reader.disturb = null;
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    await loaded.free();
  });

  test('reads that are late, and end in another order, change nothing', async () => {
    let seed = 1;
    loaded = await load(async () => {
      seed = (seed * 16807) % 2147483647;
      await sleep(seed % 4);
    });
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    await loaded.free();
  });

  test('reading alone between passes reads whole passes and changes nothing; where it fails, it says so', async () => {
    loaded = await load();
    const { streamer } = loaded;
    const [{ transfers }] = planOf(opened, choice).schedules;
    const ofOnePass = transfers.flatMap(({ extents }) => extents).length;
    expect(ofOnePass).toBeGreaterThan(3);
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    const before = reader.count;
    const began = performance.now();
    const seconds = (await streamer.readAlone(0.1))!;
    const took = (performance.now() - began) / 1000;
    const passes = (reader.count - before) / ofOnePass;
    expect(seconds * (passes + 1)).toBeGreaterThanOrEqual(0.1);
    // Not timed, but counted: what was under way, what is read ahead afterwards, a first read into each buffer, a part of a pass.
    expect(seconds * (passes - 4)).toBeLessThanOrEqual(took);
    // What was being read ahead when it began, and what is when it ends, is late.
    const rows = [
      [1, 0],
      [0, 1],
    ] as const;
    const ofRows = await runBatches(loaded, rows);
    let seed = 1;
    for (let i = 0; i < 12; i++) {
      reader.disturb = () => {
        seed = (seed * 16807) % 2147483647;
        return sleep(seed % (i + 1));
      };
      await streamer.readAlone(0.02);
      expect(await runBatches(loaded, rows)).toEqual(ofRows);
    }
    // One buffer's reads that fail end those into the others, before a pass may use these.
    const late: TestReader['disturb'] = (_, count) => sleep(count % 3);
    for (const failing of [0, 8, 16]) {
      const from = reader.count + failing;
      let memory: unknown = null;
      reader.disturb = async (request, count) => {
        await late(request, count);
        if (count < from) return;
        memory ??= request.memory;
        if (request.memory === memory) throw reader.failure(request);
      };
      await expect(streamer.readAlone(0.5)).rejects.toMatchObject({ code: 'io', message: /fable.*at byte \d+/ });
      reader.disturb = late;
      for (let i = 0; i < 6; i++) expect(await runBatches(loaded, rows)).toEqual(ofRows);
    }
    reader.disturb = null;
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    const stopped = performance.now();
    await expect(streamer.readAlone(60, controller.signal)).rejects.toMatchObject({ code: 'cancelled' });
    expect(performance.now() - stopped).toBeLessThan(1000);
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    await loaded.free();
  });

  test('an aborted pass returns at once, and the next one is right', async () => {
    loaded = await load();
    await runBatches(loaded, BATCHES);
    const sequence = new Sequence(loaded.forward, 0);
    const controller = new AbortController();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    reader.disturb = () => held;
    setTimeout(() => controller.abort(), 20);
    expect(await sequence.extend([1, 2, 3], { signal: controller.signal })).toBe(null);
    expect(sequence.length).toBe(0);
    release();
    reader.disturb = null;
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    await loaded.free();
  });

  test('close() ends a pass that waits, and no read is left', async () => {
    loaded = await load();
    await runBatches(loaded, BATCHES);
    reader.disturb = () => sleep(30);
    const pass = runBatches(loaded, [[3, 3]]);
    const ended = expect(pass).rejects.toMatchObject({ code: 'cancelled' });
    await sleep(10);
    await loaded.close();
    await ended;
    expect(reader.open).toBe(0);
    await loaded.free();
  });

  test('checksums tell of bytes that changed, and let right ones pass', async () => {
    loaded = await load(null, true);
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    const at = reader.count + 9;
    reader.damage = (bytes, count) => {
      // What was read ahead for another pass is read anew, before that fails.
      if (count >= at) bytes[bytes.length >> 1] ^= 1;
    };
    await expect(runBatches(loaded, [...BATCHES, ...BATCHES])).rejects.toMatchObject({
      code: 'io',
      message: expect.stringMatching(/^(layer \d+ (attention|feed-forward)|output) \(from byte \d+/),
    });
    reader.damage = null;
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    await loaded.free();
  });

  test('two streamed models at once', async () => {
    const first = await load();
    const second = await load();
    const results = await Promise.all([runBatches(first, BATCHES), runBatches(second, BATCHES)]);
    expect(results).toEqual([wanted, wanted]);
    await first.free();
    await second.free();
  });
});

describe('recording checksums', () => {
  const CHOICE = PLANS[0][1];
  let opened: OpenedModel;
  let backend: CpuBackend;
  let reader: FaultyReader;

  beforeAll(async () => {
    opened = await openModel(FABLE_DRAFT);
    backend = createCpuBackend({ threads: 2 });
  });

  afterAll(() => backend?.dispose());

  const load = async (options: ForwardOptions, bytesPerSecond?: number) => {
    const paths = opened.gguf.files.map(({ path }) => path);
    reader = new FaultyReader(await openReader(paths), paths, { bytesPerSecond });
    return createForward(opened, backend, SIZES, { plan: planOf(opened, CHOICE), reader, verify: true, ...options });
  };

  test('tells how far it is', async () => {
    const seen: LoadProgress[] = [];
    const loaded = await load({ onProgress: (progress) => seen.push(progress) });
    const ofDisk = seen.filter(({ tier }) => tier === 'disk');
    const { totalBytes } = ofDisk[0];
    expect(totalBytes).toBeGreaterThan(1e6);
    expect([ofDisk[0].loadedBytes, ofDisk.at(-1)]).toEqual([0, { tier: 'disk', loadedBytes: totalBytes, totalBytes }]);
    await loaded.free();
  });

  test('ends within a second when it is cancelled, on a slow drive too', async () => {
    const controller = new AbortController();
    let cancelled = 0;
    const onProgress = ({ tier }: LoadProgress) => {
      if (tier !== 'disk' || cancelled > 0) return;
      cancelled = performance.now();
      setTimeout(() => controller.abort(), 50);
    };
    const loading = load({ signal: controller.signal, onProgress }, 1e6);
    await expect(loading).rejects.toMatchObject({ code: 'cancelled' });
    expect(performance.now() - cancelled).toBeLessThan(1000);
  });

  test('ends with the sentence of a read that fails, before the rest is read', async () => {
    const whole = await load({});
    const ofAll = reader.requests.length;
    await whole.free();
    const { offset, file } = opened.model.units[0].tensors[0];
    const loading = load({ onProgress: () => Object.assign(reader.faults, { failAt: { file, byte: offset } }) });
    await expect(loading).rejects.toMatchObject({ code: 'io', message: expect.stringContaining(`byte ${offset}`) });
    expect(reader.requests.length).toBeLessThan(ofAll);
  });
});

describe('a file that is written to while it is streamed', () => {
  const CHOICE: PlanChoice = {
    tiers: [2, 2, 0],
    slots: 2,
    staging: 3,
    turns: [0, 1, 2],
    alignment: 512,
    inPlace: true,
  };
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ntx-written-'));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each([true, false])('checksums: %s', async (verify) => {
    const path = join(folder, `model-${verify}.gguf`);
    const contents = readFileSync(FABLE_DRAFT);
    writeFileSync(path, contents);
    const opened = await openModel(path);
    const backend = createCpuBackend({ threads: 2 });
    const loaded = await createForward(opened, backend, SIZES, { plan: planOf(opened, CHOICE), verify });
    const wanted = await runBatches(loaded, BATCHES);
    const sentence = { code: 'io', message: expect.stringContaining(path) };

    truncateSync(path, contents.length / 4);
    await expect(runBatches(loaded, [...BATCHES, ...BATCHES])).rejects.toMatchObject(sentence);
    writeFileSync(path, contents);
    // Without checksums nobody knows that the bytes are what they were.
    if (verify) expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    else await expect(runBatches(loaded, BATCHES)).rejects.toMatchObject(sentence);

    const { offset } = opened.model.units[1].tensors[0];
    writeFileSync(path, contents.fill(contents[offset] ^ 255, offset, offset + 1));
    const other = { code: 'io', message: expect.stringMatching(verify ? /its checksum is another/ : /written to/) };
    for (let i = 0; i < 3; i++) {
      const error = await runBatches(loaded, [...BATCHES, ...BATCHES]).catch((reason: unknown) => reason);
      // What was read ahead before the file changed may end the first passes with the sentence of the change itself.
      if (i === 2) expect(error).toMatchObject(other);
      else expect(error).toMatchObject({ code: 'io' });
    }
    await loaded.free();
    await backend.dispose();
  });
});
