import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Backend, Fence } from '../../src/backend/backend.js';
import { chromeTrace } from '../../src/measured-pass.js';
import type { Model } from '../../src/model/index.js';
import type { Transfer } from '../../src/placement/plan.js';
import { joined, StreamRecorder } from '../../src/streaming/stream-recorder.js';

const UNIT_BYTES = [1000, 500];
const transfer = (unit: number): Transfer => ({ unit, slot: 0, staging: null, extents: [] });

/** A backend whose fences are passed by hand. */
class FakeDevice {
  readonly #passed = new Map<Fence, () => void>();
  readonly #waits = new Map<Fence, Promise<void>>();

  constructor(readonly name: 'cuda' | 'webgpu') {}

  get backend(): Backend {
    const wait = (fence: Fence) => this.#waits.get(fence)!;
    return { device: { backend: this.name }, wait } as unknown as Backend;
  }

  fence(): Fence {
    const fence: Fence = { backend: this.name };
    this.#waits.set(fence, new Promise((resolve) => this.#passed.set(fence, resolve)));
    return fence;
  }

  async pass(fence: Fence): Promise<void> {
    this.#passed.get(fence)!();
    await this.#waits.get(fence);
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const at = (milliseconds: number) => vi.advanceTimersByTime(milliseconds - performance.now());

/** Two units through one slot: copy, compute, copy, compute; the second copy waits for the first use of the slot. */
async function record(name: 'cuda' | 'webgpu') {
  at(100);
  const device = new FakeDevice(name);
  const recorder = new StreamRecorder(device.backend, UNIT_BYTES);
  const [first, second] = [transfer(0), transfer(1)];
  const fences = [0, 1, 2, 3].map(() => device.fence());
  recorder.copy(first, fences[0]);
  recorder.compute(first, fences[1]);
  recorder.copy(second, fences[2]);
  recorder.compute(second, fences[3]);
  for (const [i, end] of [110, 114, 120, 121].entries()) {
    at(end);
    await device.pass(fences[i]);
  }
  recorder.read(first, 95, 105);
  return recorder.window(100, 125);
}

describe('what a streamer did', () => {
  test('begins when what it waited for has ended', async () => {
    const { seconds, busy, bytes, events } = await record('cuda');
    expect(seconds).toBeCloseTo(0.025, 9);
    const spans = events.map(({ resource, unit, begin, end }) => [
      `${resource} ${unit}`,
      Math.round(1e3 * begin),
      Math.round(1e3 * end),
    ]);
    expect(spans).toEqual([
      ['link 0', 0, 10],
      ['compute 0', 10, 14],
      ['link 1', 14, 20],
      ['compute 1', 20, 21],
      ['disk 0', -5, 5],
    ]);
    expect([busy.link, busy.compute, busy.disk].map((value) => Math.round(1e3 * value))).toEqual([16, 5, 5]);
    expect(bytes.link).toBeCloseTo(1500, 6);
    // Half of the read lies before the window.
    expect(bytes.disk).toBeCloseTo(500, 6);
  });

  test('is one thing where copies and kernels share a queue', async () => {
    const { sharesQueue, busy } = await record('webgpu');
    expect(sharesQueue).toBe(true);
    expect([busy.link, busy.compute].map((value) => Math.round(1e3 * value))).toEqual([21, 21]);
  });

  test('is one window where several are joined', async () => {
    const one = await record('cuda');
    const { seconds, busy, bytes, events } = joined([one, one]);
    expect(seconds).toBeCloseTo(0.05, 9);
    expect([busy.link, busy.compute].map((value) => Math.round(1e3 * value))).toEqual([32, 10]);
    expect(bytes.link).toBeCloseTo(3000, 6);
    const copies = events.filter(({ resource }) => resource === 'link');
    expect(copies.map(({ begin }) => Math.round(1e3 * begin))).toEqual([0, 14, 25, 39]);
    expect(joined([one])).toBe(one);
  });

  test('is a trace of complete events in microseconds', async () => {
    const model = { units: [{ name: 'layer 0 attention' }, { name: 'output' }] } as unknown as Model;
    const { traceEvents } = chromeTrace(model, await record('cuda')) as { traceEvents: Record<string, unknown>[] };
    const copies = traceEvents.filter(({ cat }) => cat === 'link');
    expect(copies.map(({ name, ph, tid }) => [name, ph, tid])).toEqual([
      ['layer 0 attention', 'X', 1],
      ['output', 'X', 1],
    ]);
    expect(copies.map(({ ts, dur }) => [Math.round(ts as number), Math.round(dur as number)])).toEqual([
      [0, 10_000],
      [14_000, 6000],
    ]);
  });
});
