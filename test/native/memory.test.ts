import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { loadHostAddon } from '../../src/backend/cpu/binding.js';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';

const backend = createCpuBackend({ threads: 2 });
afterAll(() => backend.dispose());

const MIB = 1 << 20;
const code = (expected: string) => expect.objectContaining({ name: 'NtxError', code: expected });

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** This process's ranges that have asked for huge pages (VmFlags hg; proc(5)): nothing else in Node does. */
function hugePageRanges(): { start: number; bytes: number }[] {
  const entries = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return entries
    .filter((entry) => /^VmFlags:.* hg\b/m.test(entry))
    .map((entry) => {
      const [start, end] = entry
        .split(' ', 1)[0]
        .split('-')
        .map((address) => Number.parseInt(address, 16));
      return { start, bytes: end - start };
    });
}

describe('memory', () => {
  it('is zero and keeps what is written', async () => {
    const memory = backend.allocateHost(3 * MIB + 5, 'test');
    expect(memory.bytes).toBe(3 * MIB + 5);
    const view = memory.view(0, memory.bytes);
    expect(view.every((byte) => byte === 0)).toBe(true);
    view[memory.bytes - 1] = 42;
    expect(memory.view(memory.bytes - 1, 1)).toEqual(Uint8Array.of(42));
    const read = await backend.read({ memory, offset: memory.bytes - 2, bytes: 2 });
    expect(new Uint8Array(read)).toEqual(Uint8Array.of(0, 42));
    memory.free();
  });

  it('lies outside of the heap and gives its pages back at once', () => {
    const heap = process.memoryUsage().heapUsed;
    const before = process.memoryUsage.rss();
    const memory = backend.allocateHost(256 * MIB, 'test');
    const view = memory.view(0, memory.bytes);
    view.fill(1);
    expect(process.memoryUsage.rss() - before).toBeGreaterThan(200 * MIB);
    expect(process.memoryUsage().heapUsed - heap).toBeLessThan(16 * MIB);
    memory.free();
    expect(process.memoryUsage.rss() - before).toBeLessThan(56 * MIB);
    // A view that outlives its memory does no harm: zeros.
    expect([view[0], view[view.length - 1]]).toEqual([0, 0]);
  });

  it('gives views of any part, as often as wanted, and none outside', () => {
    const memory = backend.allocateHost(100, 'test');
    for (let i = 0; i < 1000; i++) memory.view(i % 90, 10)[0] = i;
    expect(memory.view(0, 1)[0]).toBe(990 % 256);
    expect(memory.view(100, 0).length).toBe(0);
    for (const [offset, bytes] of [
      [0, 101],
      [100, 1],
      [-1, 2],
      [101, 0],
      [0.5, 1],
      [0, Number.NaN],
      [2 ** 53, 1],
    ]) {
      expect(thrownBy(() => memory.view(offset, bytes))).toEqual(code('internal'));
    }
    memory.free();
    memory.free();
    expect(thrownBy(() => memory.view(0, 1))).toEqual(code('internal'));
  });

  it('views at most 4 GiB - 1 at a time, at offsets beyond that too', () => {
    const memory = backend.allocateHost(9 * 2 ** 30, 'nine GiB, hardly touched');
    expect(memory.view(2 ** 32, 2 ** 32 - 1).length).toBe(2 ** 32 - 1);
    expect(thrownBy(() => memory.view(0, 2 ** 32))).toEqual(code('internal'));
    memory.view(2 ** 33 + 5, 1)[0] = 9;
    expect(memory.view(2 ** 33, 6)[5]).toBe(9);
    memory.free();
  });

  it('refuses what the machine cannot hold, alone or together', () => {
    for (const bytes of [2 ** 52, 2 ** 45, backend.device.memoryBytes + 1]) {
      expect(thrownBy(() => backend.allocateHost(bytes, 'huge'))).toEqual(code('no-memory'));
    }
    for (const bytes of [-1, 0.5, Number.NaN, 2 ** 60]) {
      expect(thrownBy(() => backend.allocateHost(bytes, 'nonsense'))).toEqual(code('internal'));
    }
    const half = Math.ceil(backend.device.memoryBytes / 2);
    const first = backend.allocateHost(half, 'half');
    expect(thrownBy(() => backend.allocateHost(half + 1, 'more than the other half'))).toEqual(code('no-memory'));
    first.free();
    backend.allocateHost(half, 'half again').free();
  });

  it('lies on huge pages from 2 MiB on, aligned to them', () => {
    const memories = [3, 5, 9].map((size) => backend.allocateHost(size * MIB + 4096, 'test'));
    const ranges = hugePageRanges();
    // Neighbours may be joined to one range, whose start is then one of them.
    for (const { start } of ranges) expect(start % (2 * MIB)).toBe(0);
    const total = ranges.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(total).toBeGreaterThanOrEqual(17 * MIB + 3 * 4096);
    for (const memory of memories) memory.free();
  });

  it('takes only its own objects', () => {
    const { addon } = loadHostAddon();
    const memory = new addon!.Memory(16);
    expect(() => memory.view.call({}, 0, 1)).toThrow();
    expect(() => new addon!.OpList(new Uint8Array(32), [{} as never], 1)).toThrow('expected a Memory');
    const executor = new addon!.Executor(1, () => {});
    expect(() => executor.copy(memory, 0, {} as never, 0, 1)).toThrow('expected a Memory');
    expect(() => executor.submit(memory as never, new Uint32Array(8))).toThrow('expected an OpList');
    executor.stop();
  });
});
