import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { Backend, DeviceMemory, DeviceRange, Fence, HostMemory, HostRange } from '../../src/backend/backend.js';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { NtxError } from '../../src/errors.js';
import type { FileReader } from '../../src/streaming/file-reader.js';
import { openNodeReader } from '../../src/streaming/node-reader.js';
import { type LoadProgress, readWeights, type WeightRange } from '../../src/streaming/read-weights.js';
import { FaultyReader } from '../faulty-reader.js';

const MIB = 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), 'ntx-read-weights-'));
const contents = [randomBytes(20 * MIB + 77), randomBytes(9 * MIB)];
const paths = contents.map((bytes, i) => {
  const path = join(folder, `shard-${i}`);
  writeFileSync(path, bytes);
  return path;
});
const fileBytes = contents.map(({ length }) => length);
const backend = createReferenceBackend();
afterAll(async () => {
  await backend.dispose();
  rmSync(folder, { recursive: true });
});

const open = async () => new FaultyReader(await openNodeReader(paths), paths);

/** A backend with memory that only copies reach. */
class DeviceBackend {
  readonly stagings = new Set<HostMemory>();
  stagingBytes = 0;

  allocateHost(bytes: number, label: string): HostMemory {
    const memory = backend.allocateHost(bytes, label);
    const staging = { bytes, label, view: memory.view.bind(memory), free: () => this.stagings.delete(staging) };
    this.stagings.add(staging);
    this.stagingBytes += bytes;
    return staging;
  }
  copy(from: HostRange, to: DeviceRange): Fence {
    const { host } = to.memory as DeviceMemory & { host: HostMemory };
    host.view(to.offset, to.bytes).set(from.memory.view(from.offset, from.bytes));
    return { backend: 'reference' };
  }
  async wait(): Promise<void> {}
}

function deviceMemory(host: HostMemory): DeviceMemory & { host: HostMemory } {
  return { bytes: host.bytes, label: host.label, free: () => {}, host };
}

async function failure(promise: Promise<unknown>): Promise<NtxError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof NtxError) return error;
  throw new Error(`expected an NtxError, got ${error}`);
}

/** All bytes of all files, to places of their own. */
function everything(): { ranges: WeightRange[]; memories: HostMemory[] } {
  const memories = contents.map(({ length }, file) => backend.allocateHost(length + 4, `file ${file}`));
  const ranges = memories.map((memory, file) => ({ file, offset: 0, bytes: contents[file].length, memory, at: 0 }));
  return { ranges, memories };
}

describe('reading weights', () => {
  it('puts every range in its place and counts its bytes', async () => {
    const part = fc.record({
      file: fc.nat(1),
      offset: fc.nat(8 * MIB).map((value) => value - (value % 32)),
      bytes: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: MIB })),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
        const reader = await open();
        const memory = backend.allocateHost(5 * MIB, 'test');
        const ranges = parts.map((each, i) => ({ ...each, memory, at: i * MIB }));
        const seen: number[] = [];
        const onProgress = ({ tier, loadedBytes, totalBytes }: LoadProgress) => {
          expect(tier).toBe('host');
          expect(totalBytes).toBe(parts.reduce((sum, { bytes }) => sum + bytes, 0));
          seen.push(loadedBytes);
        };
        await readWeights(reader, ranges, fileBytes, backend, { onProgress });
        for (const { file, offset, bytes, at } of ranges) {
          const expected = contents[file].subarray(offset, offset + bytes);
          expect(expected.equals(memory.view(at, bytes))).toBe(true);
        }
        const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
        expect(seen.at(-1) ?? 0).toBe(total);
        expect([...seen].sort((a, b) => a - b)).toEqual(seen);
        memory.free();
        await reader.close();
      }),
      { numRuns: 20 },
    );
  });

  it('reads all files at once, each in its order', async () => {
    const reader = await open();
    const { ranges } = everything();
    await readWeights(reader, ranges, fileBytes, backend);
    expect(new Set(reader.requests.slice(0, 2).map(({ file }) => file))).toEqual(new Set([0, 1]));
    for (const file of [0, 1]) {
      const offsets = reader.requests.filter((request) => request.file === file).map(({ offset }) => offset);
      expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    }
    await reader.close();
  });

  it.each([
    ['a bad block', { failAt: { file: 0, byte: 12 * MIB + 5 } }, `${12 * MIB + 5} failed: Input/output error`],
    ['a file cut short', { truncateTo: { file: 0, bytes: 15 * MIB } }, `ends at byte ${15 * MIB};`],
  ])('ends with a sentence at %s; nothing is written afterwards', async (_, faults, sentence) => {
    const reader = await open();
    Object.assign(reader.faults, faults);
    const { ranges, memories } = everything();
    const error = await failure(readWeights(reader, ranges, fileBytes, backend));
    expect(error).toMatchObject({ code: 'io', message: expect.stringContaining(sentence) });
    expect(error.message).toContain(paths[0]);
    for (const memory of memories) memory.view(0, memory.bytes).fill(0);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(memories.every((memory) => memory.view(0, memory.bytes).every((byte) => byte === 0))).toBe(true);
  });

  it('stops at once when it is cancelled, on a slow drive too', async () => {
    const reader = await open();
    reader.faults.bytesPerSecond = 30 * MIB;
    const cancel = new AbortController();
    setTimeout(() => cancel.abort(), 20);
    const { ranges } = everything();
    const error = await failure(readWeights(reader, ranges, fileBytes, backend, { signal: cancel.signal }));
    expect(error.code).toBe('cancelled');
    expect(reader.requests.length).toBeLessThanOrEqual(8);
  });

  it('begins nothing when it is cancelled before', async () => {
    const reader: FileReader = await open();
    const signal = AbortSignal.abort();
    const error = await failure(readWeights(reader, everything().ranges, fileBytes, backend, { signal }));
    expect(error.code).toBe('cancelled');
  });

  it('goes through staging to memory that the host cannot write to, and frees it', async () => {
    const reader = await open();
    const { ranges, memories } = everything();
    const device = new DeviceBackend();
    const skewed = ranges.map((range) => ({
      ...range,
      offset: 96,
      bytes: range.bytes - 96,
      memory: deviceMemory(range.memory as HostMemory),
    }));
    const seen: LoadProgress[] = [];
    const small = { file: 1, offset: 0, bytes: 5, memory: backend.allocateHost(8, 'in RAM'), at: 0 };
    await readWeights(reader, [...skewed, small], fileBytes, device as unknown as Backend, {
      onProgress: (progress) => seen.push(progress),
    });
    for (const [file, memory] of memories.entries()) {
      const expected = contents[file].subarray(96);
      expect(expected.equals(memory.view(0, expected.length))).toBe(true);
    }
    expect(device.stagings.size).toBe(0);
    const totals = { device: skewed.reduce((sum, { bytes }) => sum + bytes, 0), host: small.bytes };
    for (const tier of ['device', 'host'] as const) {
      const told = seen.filter((progress) => progress.tier === tier);
      expect(told[0]).toEqual({ tier, loadedBytes: 0, totalBytes: totals[tier] });
      expect(told.at(-1)).toEqual({ tier, loadedBytes: totals[tier], totalBytes: totals[tier] });
    }
    // Whatever the model's size.
    expect(device.stagingBytes).toBeLessThan(65 * MIB);
    expect(device.stagingBytes).toBeGreaterThan(0);
    await reader.close();
  });
});

describe("Node's own files", () => {
  it('are read with NtxErrors that name file and byte, and closed after the reads in flight', async () => {
    const reader = await openNodeReader(paths);
    const memory = backend.allocateHost(20 * MIB, 'test');
    const beyond = await failure(reader.read({ file: 1, offset: 9 * MIB - 5, bytes: 10, memory, at: 0 }));
    expect(beyond).toMatchObject({
      code: 'io',
      message: expect.stringContaining(`${paths[1]} ends at byte ${9 * MIB};`),
    });
    const reads = Array.from({ length: 8 }, () => reader.read({ file: 0, offset: 0, bytes: 20 * MIB, memory, at: 0 }));
    const ends = Promise.allSettled(reads);
    await reader.close();
    const codes = (await ends).map((end) => (end.status === 'rejected' ? end.reason.code : 'read'));
    expect(codes.filter((code) => code === 'cancelled').length).toBeGreaterThan(0);
    expect(codes.every((code) => code === 'cancelled' || code === 'read')).toBe(true);
    expect(await failure(openNodeReader([join(folder, 'missing')]))).toMatchObject({ code: 'io' });
  });
});
