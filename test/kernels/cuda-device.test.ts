// What the cuda backend promises beside its kernels: order, fences, memory, errors that name their cause.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeviceRange } from '../../src/backend/backend.js';
import type { CudaBackend } from '../../src/backend/cuda/cuda.js';
import { DEVICE_WORD, HOST_WORD, hasCome, TURN_HEADER } from '../../src/backend/turns.js';
import { openCudaDevice } from '../cuda-device.js';
import * as norm from './norm-list.js';

const { NORM, step, WIDTH } = norm;

describe('cuda', () => {
  let backend: CudaBackend;

  beforeEach(() => {
    backend = openCudaDevice();
  });

  afterEach(() => backend?.dispose());

  const stage = (values: ArrayLike<number>, label: string) => norm.stage(backend, values, label);
  const upload = (values: ArrayLike<number>, label: string) => norm.upload(backend, values, label);
  const normBindings = (x?: DeviceRange) => norm.normBindings(backend, x);
  const floats = (range: DeviceRange) => norm.floats(backend, range);

  it('gives zeroed memory', async () => {
    for (let i = 0; i < 4; i++) {
      const memory = backend.allocateDevice(1 << 20, 'some');
      expect(
        new Uint8Array(await backend.read({ memory, offset: 0, bytes: 1 << 20 })).every((byte) => byte === 0),
      ).toBe(true);
      backend.copy(stage(new Float32Array(1 << 18).fill(7), 'sevens'), { memory, offset: 0, bytes: 1 << 20 });
      memory.free();
    }
    expect(
      backend
        .allocateHost(4096, 'host')
        .view(0, 4096)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  it('runs copies without a fence, passes and reads in the order of their calls', async () => {
    const bindings = normBindings();
    const { x, y } = Object.fromEntries(bindings.buffers);
    const list = backend.record([NORM], bindings);
    // More passes than places for step buffers, in shapes that are launched, captured and replayed.
    for (let pass = 0; pass < 50; pass++) {
      const sign = pass % 3 === 0 ? -1 : 1;
      backend.copy(stage(new Float32Array(4 * WIDTH).fill(sign * 7), 'values'), x);
      backend.submit(list, step(1 + (pass % 4)));
      if (pass % 7 === 0)
        expect(new Set((await floats(y)).slice(0, WIDTH)), `pass ${pass}`).toEqual(new Set([2 * sign]));
    }
  });

  it('runs copies with a fence beside the passes, and lets the device wait for them', async () => {
    const bindings = normBindings();
    const { x, y } = Object.fromEntries(bindings.buffers);
    const list = backend.record([NORM], bindings);
    let fence = backend.submit(list, step(4));
    for (let pass = 0; pass < 20; pass++) {
      const sign = pass % 2 === 0 ? -1 : 1;
      const copied = backend.copy(stage(new Float32Array(4 * WIDTH).fill(sign * 5), 'values'), x, fence);
      fence = backend.submit(list, step(4), [copied]);
      expect(new Set(await floats(y)), `pass ${pass}`).toEqual(new Set([2 * sign]));
    }
    await backend.wait(fence);
  });

  it('reads any bytes, also many at once', async () => {
    const range = upload([1, 2, 3], 'values');
    const bytes = new Uint8Array(await backend.read({ ...range, offset: 3, bytes: 6 }));
    expect([...bytes]).toEqual([...new Uint8Array(Float32Array.of(1, 2, 3).buffer).subarray(3, 9)]);
    expect((await backend.read({ ...range, bytes: 0 })).byteLength).toBe(0);
    const large = upload(
      Float32Array.from({ length: 1 << 20 }, (_, i) => i),
      'numbers',
    );
    const reads = await Promise.all(
      Array.from({ length: 10 }, (_, i) => floats({ ...large, offset: i * (1 << 16), bytes: 1 << (12 + i) })),
    );
    for (const [i, values] of reads.entries()) expect(values.at(-1)).toBe(i * (1 << 14) + (1 << (10 + i)) - 1);
  });

  it('copies from pages that exist already', async () => {
    const pages = new Uint8Array(new Float32Array(4 * WIDTH).fill(-4).buffer);
    const bindings = normBindings();
    const { x, y } = Object.fromEntries(bindings.buffers);
    const memory = backend.registerHost(pages, 'pages');
    backend.copy({ memory, offset: 0, bytes: x.bytes }, x);
    backend.submit(backend.record([NORM], bindings), step(4));
    expect(new Set(await floats(y))).toEqual(new Set([-2]));
    memory.free();
  });

  it.each([WIDTH, 300_000])('lets the host take its turn with %i values between two passes', async (count) => {
    const host = new Uint8Array(TURN_HEADER + 4 * count);
    const told = new Uint32Array(host.buffer, 0, TURN_HEADER / 4);
    const values = new Float32Array(host.buffer, TURN_HEADER, count);
    const memory = backend.registerHost(host, 'turns');
    const range = upload(new Float32Array(count).fill(3), 'values');
    const turn = backend.handOver!(range, memory, 1);
    const after = floats(range);
    while (!hasCome(told[DEVICE_WORD / 4], 1)) await sleep(1);
    expect(new Set(values)).toEqual(new Set([3]));
    values.fill(5);
    told[HOST_WORD / 4] = 1;
    await backend.wait(turn);
    expect(new Set(await after)).toEqual(new Set([5]));
    memory.free();
  });

  it('says what is free of its memory', async () => {
    const before = backend.memory();
    expect(before.free > 0 && before.free < before.total).toBe(true);
    const memory = backend.allocateDevice(256 << 20, 'a quarter of a GiB');
    expect(before.free - backend.memory().free).toBeGreaterThan(200 << 20);
    memory.free();
  });

  it('copies out of write-combined memory', async () => {
    const memory = backend.allocateWriteCombined(64, 'written only');
    memory.view(0, 64).set(new Uint8Array(new Float32Array(16).fill(3).buffer));
    const target = { memory: backend.allocateDevice(64, 'target'), offset: 0, bytes: 64 };
    await backend.wait(backend.copy({ memory, offset: 0, bytes: 64 }, target));
    expect(await floats(target)).toEqual(new Array(16).fill(3));
    memory.free();
  });

  it('refuses what the device cannot hold, naming it, and goes on', async () => {
    expect(() => backend.allocateDevice(2 ** 44, 'too much')).toThrow(
      expect.objectContaining({ code: 'no-memory', message: expect.stringContaining('too much') }),
    );
    expect(await floats(upload([5], 'a value'))).toEqual([5]);
  });

  it('refuses memory and lists that are not its own, or no more', async () => {
    const bindings = normBindings();
    const list = backend.record([NORM], bindings);
    list.dispose();
    expect(() => backend.submit(list, step(1))).toThrow('disposed');
    const other = { bytes: 16, label: 'foreign', free: () => {} };
    await expect(backend.read({ memory: other, offset: 0, bytes: 16 })).rejects.toThrow('foreign');
    const again = backend.record([NORM], bindings);
    bindings.buffers.get('x')!.memory.free();
    expect(() => backend.submit(again, step(1))).toThrow('freed');
    await expect(backend.wait({ backend: 'cpu' })).rejects.toThrow('a fence of cpu');
  });

  it('times every launch of a pass', async () => {
    const bindings = normBindings();
    const list = backend.record([NORM, NORM], bindings);
    for (let i = 0; i < 2; i++) {
      const timings = await backend.profile(list, step(3));
      expect(timings.map(({ op, label }) => [op, label])).toEqual([
        [0, `rms-norm ${WIDTH}`],
        [1, `rms-norm ${WIDTH}`],
      ]);
      expect(timings.every(({ seconds }) => seconds > 0 && seconds < 0.01)).toBe(true);
    }
    expect((await floats(bindings.buffers.get('y')!)).slice(0, 3 * WIDTH)).toEqual(new Array(3 * WIDTH).fill(2));
  });

  it('does not grow over many passes', async () => {
    expect(await norm.growthOfPasses(backend)).toBeLessThan(32 << 20);
  });

  it('frees everything once, after the pass that runs, and takes nothing afterwards', async () => {
    const list = backend.record([NORM], normBindings());
    backend.submit(list, step(4));
    await Promise.all([backend.dispose(), backend.dispose()]);
    expect(() => backend.allocateDevice(16, 'late')).toThrow('has been disposed');
  });
});
