// The engine over a simulated drive: everything above the registers, without root and without a drive.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';
import { loadModel } from '../../src/engine.js';
import { openGguf } from '../../src/gguf/open.js';
import { openModel } from '../../src/index.js';
import { createForward } from '../../src/load-forward.js';
import { type AttachedModel, attachModel } from '../../src/nvme/attach.js';
import type { SimSource } from '../../src/nvme/binding.js';
import { hashOf, type ModelMap, samplePlaces } from '../../src/nvme/model-map.js';
import { DISK_MEMORY_BYTES, groupByDisk, measureDisk } from '../../src/placement/measure/disk.js';
import { Allowance } from '../../src/placement/measure/timing.js';
import { openReader } from '../../src/streaming/open-reader.js';
import { type Batch, choices, runBatches, SIZES } from '../streaming/invariance.js';
import { planOf } from '../streaming/plans.js';

const MODEL = fileURLToPath(new URL('../../models/fable-5m-q4_k_m.gguf', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ntx-nvme-'));
const attached: AttachedModel[] = [];

afterEach(async () => {
  for (const model of attached.splice(0)) await model.detach();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A drive's bytes with the model in pieces of 1 MiB, last piece first, and its map. */
async function scattered(): Promise<{ data: Uint8Array; map: ModelMap; path: string }> {
  const bytes = readFileSync(MODEL);
  const gguf = await openGguf(MODEL);
  const piece = 1 << 20;
  const count = Math.ceil(bytes.length / piece);
  const data = new Uint8Array((count + 1) * piece);
  const extents = Array.from({ length: count }, (_, i) => {
    const offset = i * piece;
    const length = Math.min(piece, bytes.length - offset);
    const drive = (count - i) * piece;
    data.set(bytes.subarray(offset, offset + length), drive);
    const samples = samplePlaces({ offset, bytes: length }).map((place) =>
      bytes.subarray(place.offset, place.offset + place.bytes),
    );
    return { offset, drive, bytes: length, samples: hashOf(Buffer.concat(samples)) };
  });
  const headerBytes = Math.min(...[...gguf.tensors.values()].map(({ offset }) => offset));
  const headerHash = hashOf(bytes.subarray(0, headerBytes));
  const file = { name: 'fable.gguf', bytes: bytes.length, headerBytes, headerHash, extents };
  const map: ModelMap = { ntxmap: 1, made: '', drive: { serial: 'sim0', model: '', namespace: 1 }, files: [file] };
  const path = join(folder, 'fable.ntxmap');
  writeFileSync(path, JSON.stringify(map));
  return { data, map, path };
}

async function attach(path: string, data: Uint8Array, source: Partial<SimSource> = {}): Promise<AttachedModel> {
  const model = await attachModel(path, { kind: 'sim', data, ...source }, { timeoutMilliseconds: 100 });
  attached.push(model);
  return model;
}

async function story(path: string): Promise<string> {
  const model = await loadModel(path, { backend: 'cpu' });
  try {
    let text = '';
    for await (const piece of model.generate('Once upon a time', { maxTokens: 24, seed: 7 })) text += piece.text;
    return text;
  } finally {
    await model.dispose();
  }
}

describe('a model on a simulated drive', () => {
  test('writes the text that it writes from its file, with blocks of either size', async () => {
    const { data, path } = await scattered();
    const expected = await story(MODEL);
    for (const blockBytes of [512, 4096]) {
      const model = await attach(path, data, { blockBytes, jitterNanoseconds: 50_000 });
      expect(await story(path)).toBe(expected);
      expect(model.drive.stats.dmaFaults).toBe(0);
      await attached.pop()!.detach();
    }
  });

  test('streams from the drive with the bits that residency gives, wherever its units are placed', async () => {
    const { data, path } = await scattered();
    const { drive } = await attach(path, data, { jitterNanoseconds: 50_000 });
    const backend = createCpuBackend({ threads: 2 });
    const opened = await openModel(path);
    const resident = await createForward(opened, backend, SIZES);
    const batches: Batch[] = [
      [8, 3],
      [1, 1],
    ];
    const expected = await runBatches(resident, batches);
    const before = drive.stats.bytes;
    const property = fc.asyncProperty(choices(true), async (choice) => {
      // Tier 2 of these is the disk.
      const tiers = [...choice.tiers, 2];
      const loaded = await createForward(opened, backend, SIZES, { plan: planOf(opened, { ...choice, tiers }) });
      expect(await runBatches(loaded, batches)).toEqual(expected);
      await loaded.free();
    });
    await fc.assert(property, { numRuns: 8 });
    await backend.dispose();
    expect(drive.stats.bytes).toBeGreaterThan(before + 2 * data.length);
    expect(drive.stats.dmaFaults).toBe(0);
  });

  test('without the drive, its map is no model', async () => {
    const { path } = await scattered();
    await expect(loadModel(path)).rejects.toThrow(/says where a model lies on a drive, and no drive is given/);
    await expect(loadModel(MODEL, { nvme: '02:00.0' })).rejects.toThrow(/does not end in .ntxmap/);
    await expect(loadModel(path, { nvme: 'ffff:ff:1f.7' })).rejects.toThrow(/no NVMe drive at ffff:ff:1f.7/);
  });

  test('a drive that was written to since is refused, whether header or weights', async () => {
    const { data, path } = await scattered();
    const pieces = data.length >> 20;
    for (const at of [(pieces - 1) << 20, (1 << 20) + 17, ((pieces - 2) << 20) + (1 << 20) - 1]) {
      const other = Uint8Array.from(data);
      other[at] ^= 1;
      await expect(attach(path, other)).rejects.toThrow(/is not where its map says/);
    }
    await expect(attach(path, data, { serial: 'another' })).rejects.toThrow(/serial number sim0.*has another/);
    await expect(attach(path, data, { bytes: 1 << 20 })).rejects.toThrow(/was formatted|has 1048576 bytes/);
  });

  test('a file in ever so many extents is checked like any other', async () => {
    const { data, map, path } = await scattered();
    const [file] = map.files;
    const extents = Array.from({ length: 200_000 }, (_, i) => ({ offset: i, drive: i, bytes: 1, samples: 'x' }));
    const last = { offset: extents.length, drive: 2 << 20, bytes: file.bytes - extents.length, samples: 'x' };
    writeFileSync(path, JSON.stringify({ ...map, files: [{ ...file, extents: [...extents, last] }] }));
    await expect(attach(path, data, { bytes: 1 << 20 })).rejects.toThrow(/has 1048576 bytes/);
  });

  test('memory that is attached to a reader stays pinned until it is closed', async () => {
    const { data, path } = await scattered();
    const model = await attach(path, data);
    const reader = await openReader(model.gguf.files.map((file) => file.path));
    const bytes = new Uint8Array(1 << 20);
    const view = (offset: number, length: number) => bytes.subarray(offset, offset + length);
    const memory = { bytes: bytes.length, label: 'staging', view, free: () => {} };
    const before = model.drive.stats.mappedBytes!;
    reader.attach!([{ memory, offset: 0, bytes: bytes.length }]);
    await reader.read({ file: 0, offset: 999, bytes: bytes.length, memory, at: 0 });
    expect(Buffer.compare(bytes, readFileSync(MODEL).subarray(999, 999 + bytes.length))).toBe(0);
    expect(model.drive.stats.mappedBytes).toBeGreaterThan(before);
    await reader.close();
    expect(model.drive.stats.mappedBytes).toBe(before);
    await expect(reader.read({ file: 0, offset: 0, bytes: 8, memory, at: 0 })).rejects.toThrow(/cancelled/);
  });

  test('its rate is measured as that of any other place of files', async () => {
    const { data, path } = await scattered();
    const model = await attach(path, data, { bytesPerSecond: 1e9 });
    const [group] = await groupByDisk(model.gguf.files.map((file) => file.path));
    expect(group.mount).toBe('drive sim0');
    const bytes = new Uint8Array(DISK_MEMORY_BYTES);
    const view = (offset: number, length: number) => bytes.subarray(offset, offset + length);
    const memory = { bytes: bytes.length, label: 'probe', view, free: () => {} };
    const { rate, alignment } = await measureDisk(group, memory, new Allowance(0.3));
    expect(alignment).toBe(512);
    expect(rate).toBeGreaterThan(1e7);
    expect(rate).toBeLessThan(1.1e9);
  });

  test('errors name the file and its byte; a load that fails can be repeated', async () => {
    const { data, path } = await scattered();
    const model = await attach(path, data);
    const reader = await openReader([model.gguf.files[0].path]);
    const memory = { bytes: 8, label: 'x', view: () => new Uint8Array(8), free: () => {} };
    const past = reader.read({ file: 0, offset: 1e9, bytes: 8, memory, at: 0 });
    await expect(past).rejects.toThrow(/fable.gguf: reading at byte 1000000000 failed/);
    await reader.close();
    const { commands } = model.drive.stats;
    await attached.pop()!.detach();
    // After those of attaching come the weights.
    const faults = [{ kind: 'status' as const, command: commands + 2, type: 2, code: 0x81, doNotRetry: true }];
    await attach(path, data, { faults });
    await expect(story(path)).rejects.toThrow(/fable.gguf: reading at byte \d+ failed: .*cannot read these bytes/);
    expect(await story(path)).toBe(await story(MODEL));
  });
});
