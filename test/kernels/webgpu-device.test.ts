// What the webgpu backend promises beside its kernels: order, memory, errors that name their cause.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeviceRange, HostMemory } from '../../src/backend/backend.js';
import { openDevice } from '../../src/backend/webgpu/adapter.js';
import { measureReadBandwidth } from '../../src/backend/webgpu/read-bandwidth.js';
import { createWebGpuBackend, WebGpuBackend } from '../../src/backend/webgpu/webgpu.js';
import { NtxError } from '../../src/errors.js';
import { openTestDevice, SKIP_WEBGPU, TEST_ADAPTER } from '../webgpu-device.js';
import * as norm from './norm-list.js';

const { NORM, step, WIDTH } = norm;

describe.skipIf(SKIP_WEBGPU)('webgpu', () => {
  let backend: WebGpuBackend;

  beforeEach(async () => {
    backend = await openTestDevice();
  });

  afterEach(() => backend?.dispose());

  const upload = (values: ArrayLike<number>, label: string) => norm.upload(backend, values, label);
  const normBindings = (x?: DeviceRange) => norm.normBindings(backend, x);
  const floats = (range: DeviceRange) => norm.floats(backend, range);

  it('keeps the order of calls around a list that is still being compiled', async () => {
    const bindings = normBindings();
    const { x, y } = Object.fromEntries(bindings.buffers);
    const list = backend.record([NORM], bindings);
    backend.submit(list, step(1));
    const host = backend.allocateHost(x.bytes, 'other values');
    host.view(0, x.bytes).set(new Uint8Array(new Float32Array(4 * WIDTH).fill(-5).buffer));
    backend.copy({ memory: host, offset: 0, bytes: x.bytes }, x);
    backend.submit(list, step(4));
    const first = await floats(y);
    expect(new Set(first)).toEqual(new Set([-2]));
    await list.ready?.();
    expect(await floats(x)).toEqual(new Array(4 * WIDTH).fill(-5));
  });

  it('runs passes that it encoded ahead with the data of their time', async () => {
    const bindings = normBindings();
    const { x, y } = Object.fromEntries(bindings.buffers);
    const list = backend.record([NORM], bindings);
    const host = backend.allocateHost(x.bytes, 'other values');
    for (let pass = 0; pass < 24; pass++) {
      // Signs come and go, batches and reads change now and then: what was prepared is wanted, or partly, or not at all.
      const sign = pass % 3 === 0 ? -1 : 1;
      await host.map?.();
      host.view(0, x.bytes).set(new Uint8Array(new Float32Array(4 * WIDTH).fill(sign * 7).buffer));
      backend.copy({ memory: host, offset: 0, bytes: x.bytes }, x);
      const rows = pass % 8 === 7 ? 4 : 2;
      backend.submit(list, step(rows));
      const row = pass % 5 === 4 ? 1 : 0;
      const part = { ...y, offset: row * 4 * WIDTH, bytes: 4 * WIDTH };
      expect(new Set(await floats(part)), `pass ${pass}`).toEqual(new Set([2 * sign]));
    }
  });

  it('reports how many kernels are compiled', async () => {
    const list = backend.record([NORM], normBindings());
    const counts: [number, number][] = [];
    await list.ready?.((compiled, total) => counts.push([compiled, total]));
    expect(counts.at(-1)![0]).toBe(counts.at(-1)![1]);
    expect(counts.at(-1)![0]).toBeGreaterThan(0);
  });

  it('ends views with a copy, and gives new ones after map()', async () => {
    const host: HostMemory = backend.allocateHost(16, 'staging');
    const range = { memory: backend.allocateDevice(16, 'target'), offset: 0, bytes: 16 };
    const view = host.view(0, 16);
    for (const value of [7, 9]) {
      host.view(0, 16).fill(value);
      backend.copy({ memory: host, offset: 0, bytes: 16 }, range);
      expect(() => host.view(0, 16)).toThrow('before map()');
      await host.map?.();
      expect([...new Uint8Array(await backend.read(range))]).toEqual(new Array(16).fill(value));
    }
    expect(view.length).toBe(0);
  });

  it('reads ranges that are no whole words', async () => {
    const range = upload([1, 2, 3], 'values');
    const bytes = new Uint8Array(await backend.read({ ...range, offset: 3, bytes: 6 }));
    expect([...bytes]).toEqual([...new Uint8Array(Float32Array.of(1, 2, 3).buffer).subarray(3, 9)]);
    expect((await backend.read({ ...range, bytes: 0 })).byteLength).toBe(0);
  });

  it('names the memory that went missing, and stays failed', async () => {
    const bindings = normBindings();
    const list = backend.record([NORM], bindings);
    await list.ready?.();
    bindings.buffers.get('x')!.memory.free();
    const failure = backend.wait(backend.submit(list, step(1))).then(
      () => null,
      (error: unknown) => error,
    );
    expect(await failure).toBeInstanceOf(NtxError);
    expect(((await failure) as NtxError).message).toContain('the input');
    expect(() => backend.allocateDevice(16, 'more')).toThrow('the input');
    await expect(backend.read(bindings.buffers.get('y')!)).rejects.toThrow('the input');
  });

  it('says that the device is lost, whatever is asked of it, and ends', async () => {
    await backend.dispose();
    const opened = await openDevice({ adapter: TEST_ADAPTER });
    backend = new WebGpuBackend(opened);
    const bindings = normBindings();
    const { x, y } = Object.fromEntries(bindings.buffers);
    const [ready, compiling] = [backend.record([NORM], bindings), backend.record([NORM, NORM], bindings)];
    await ready.ready?.();
    const memory = backend.allocateHost(x.bytes, 'staging');
    const pass = backend.submit(ready, step(1));
    const waiting = backend.submit(compiling, step(1));
    const ends = Promise.allSettled([backend.read(y), backend.wait(pass), backend.wait(waiting)]);
    opened.device.destroy();
    for (const end of await ends) expect(String((end as PromiseRejectedResult).reason)).toMatch(/was lost/);
    expect(() => backend.submit(ready, step(1))).toThrow(/was lost/);
    expect(() => backend.record([NORM], bindings)).toThrow(/was lost/);
    expect(() => backend.allocateDevice(16, 'more')).toThrow(/was lost/);
    expect(() => memory.view(0, 16)).toThrow(/was lost/);
    expect(() => backend.copy({ memory, offset: 0, bytes: x.bytes }, x)).toThrow(/was lost/);
    await expect(backend.profile(ready, step(1))).rejects.toThrow(/was lost/);
    await expect(backend.measureReadBandwidth(1 << 20)).rejects.toThrow(/was lost/);
  });

  it('refuses what the device cannot hold or bind, naming it', async () => {
    // Default limits: on some devices a binding can be as long as a buffer.
    await backend.dispose();
    backend = await openTestDevice({ portable: true });
    // As much as it says; kernels may load some bytes behind it.
    const most = backend.device.allocationBytes!;
    const longest = backend.allocateDevice(most, 'the longest');
    expect(longest.buffer.size).toBeGreaterThanOrEqual(most + 64);
    await backend.wait(backend.submit(backend.record([NORM], normBindings()), step(1)));
    longest.free();
    const { maxBufferSize, maxStorageBufferBindingSize } = backend.facts.limits;
    expect(() => backend.allocateDevice(maxBufferSize + 1, 'too much')).toThrow(
      expect.objectContaining({ code: 'no-memory', message: expect.stringContaining('too much') }),
    );
    const bytes = maxStorageBufferBindingSize + 256;
    const x = { memory: backend.allocateDevice(bytes, 'a long input'), offset: 0, bytes };
    expect(() => backend.record([NORM], normBindings(x))).toThrow(
      expect.objectContaining({
        code: 'unsupported',
        message: expect.stringMatching(/op 0 \(rms-norm\): a long input/),
      }),
    );
  });

  it('refuses memory and lists that are not its own, or no more', async () => {
    const bindings = normBindings();
    const list = backend.record([NORM], bindings);
    await list.ready?.();
    list.dispose();
    expect(() => backend.submit(list, step(1))).toThrow('disposed');
    const other = { bytes: 16, label: 'foreign', free: () => {} };
    await expect(backend.read({ memory: other, offset: 0, bytes: 16 })).rejects.toThrow('foreign');
  });

  it('times every kernel of a pass', async () => {
    const bindings = normBindings();
    const timings = await backend.profile(backend.record([NORM, NORM], bindings), step(3));
    expect(timings.map(({ op, label }) => [op, label])).toEqual([
      [0, `rms-norm ${WIDTH}`],
      [1, `rms-norm ${WIDTH}`],
    ]);
    expect(timings.every(({ seconds }) => seconds >= 0 && seconds < 1)).toBe(true);
    expect((await floats(bindings.buffers.get('y')!)).slice(0, 3 * WIDTH)).toEqual(
      new Array(3 * WIDTH).fill(expect.closeTo(2, 5)),
    );
  });

  it('does not grow over many passes', async () => {
    expect(await norm.growthOfPasses(backend)).toBeLessThan(32 << 20);
  });

  it('frees everything once, after the pass that runs, and takes nothing afterwards', async () => {
    const list = backend.record([NORM], normBindings());
    backend.submit(list, step(4));
    await Promise.all([backend.dispose(), backend.dispose()]);
    expect(() => backend.allocateDevice(16, 'late')).toThrow('after dispose()');
  });
});

describe.skipIf(SKIP_WEBGPU)('choosing an adapter', () => {
  it('lists what there is when the wanted one is not', async () => {
    await expect(createWebGpuBackend({ adapter: 'no such adapter' })).rejects.toMatchObject({
      code: 'no-backend',
      message: expect.stringMatching(/expected an adapter "no such adapter" that can be used, found adapter 0, .+/),
    });
  });
});

// It throws where the sum of all words is not what it wrote; by the GPU's clock, and without one.
describe.skipIf(SKIP_WEBGPU)('the read bandwidth', () => {
  it.each([
    ['more than a binding', 130 << 20, false],
    ['a buffer that is no multiple of the launch', 1_000_000, false],
    ['a device without timestamps', 4 << 20, true],
  ])('of %s', async (_, bytes, portable) => {
    const perSecond = await measureReadBandwidth({ adapter: TEST_ADAPTER, portable }, bytes);
    expect(perSecond).toBeGreaterThan(1e6);
    expect(perSecond).toBeLessThan(1e14);
  });
});
