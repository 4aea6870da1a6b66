// Passes that the cuda backend enqueues before their step is known (native/cuda/ahead.h): whatever comes instead, the results
// are those of the steps that were submitted.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CommandList, DeviceRange } from '../../src/backend/backend.js';
import type { CudaBackend } from '../../src/backend/cuda/cuda.js';
import { StepBuffer } from '../../src/backend/step.js';
import { openCudaDevice } from '../cuda-device.js';

const WIDTH = 64;
const VOCABULARY = 100;
const SIZES = { maxRows: 4, maxOutputs: 1, slots: 2, context: 4096 };
/** Passes after which every later one has been enqueued ahead, were it not for what a test does. */
const ENOUGH = 40;

describe('a pass ahead on cuda', () => {
  let backend: CudaBackend;
  let list: CommandList;
  let out: DeviceRange;

  /** A list that leaves the rows of the step's tokens in `to`: row t is WIDTH times 1000 + t. */
  function embedding(to: DeviceRange, name: string): CommandList {
    const table = backend.allocateHost(4 * WIDTH * VOCABULARY, `table of ${name}`);
    const values = Float32Array.from({ length: WIDTH * VOCABULARY }, (_, i) => 1000 + Math.floor(i / WIDTH));
    table.view(0, values.byteLength).set(new Uint8Array(values.buffer));
    const range = { memory: table, offset: 0, bytes: values.byteLength };
    const weight = { type: 'F32', rows: VOCABULARY, cols: WIDTH, range } as const;
    return backend.record([{ kind: 'embed', table: 'table', out: 'out' }], {
      weights: new Map([['table', weight]]),
      buffers: new Map([['out', to]]),
      sizes: SIZES,
    });
  }

  const output = (label: string) => {
    const bytes = 4 * WIDTH * SIZES.maxRows;
    return { memory: backend.allocateDevice(bytes, label), offset: 0, bytes };
  };

  function submit(token: number, position: number, slot = 0): void {
    const step = new StepBuffer(SIZES.maxRows, SIZES.maxOutputs);
    step.addRow(token, position, slot);
    backend.submit(list, step);
  }

  /** The token whose row stands in a range. */
  async function tokenIn(range: DeviceRange): Promise<number> {
    const values = new Set(new Float32Array(await backend.read({ ...range, bytes: 4 * WIDTH })));
    expect(values.size).toBe(1);
    return [...values][0] - 1000;
  }

  /** Passes of a sequence from `position` on, each read before the next. */
  async function decode(count: number, position = 0): Promise<void> {
    for (let i = 0; i < count; i++) {
      const token = (7 * (position + i) + 3) % VOCABULARY;
      submit(token, position + i);
      expect(await tokenIn(out), `position ${position + i}`).toBe(token);
    }
  }

  beforeEach(() => {
    backend = openCudaDevice();
    out = output('the output');
    list = embedding(out, 'the list');
  });

  afterEach(() => backend?.dispose());

  it('has the step that is submitted', async () => {
    await decode(1000);
  });

  it('is submitted again before it is read', async () => {
    await decode(ENOUGH);
    for (let i = 0; i < 100; i++) submit(i, ENOUGH + i);
    expect(await tokenIn(out)).toBe(99);
    await decode(ENOUGH, ENOUGH + 100);
  });

  it('gives way to a step elsewhere, of more rows, or of another list', async () => {
    const other = output('another output');
    const otherList = embedding(other, 'another list');
    for (let round = 0; round < 5; round++) {
      await decode(ENOUGH);
      submit(91, 2000);
      expect(await tokenIn(out)).toBe(91);
      await decode(ENOUGH);
      submit(92, ENOUGH, 1);
      expect(await tokenIn(out)).toBe(92);
      await decode(ENOUGH);
      const step = new StepBuffer(SIZES.maxRows, SIZES.maxOutputs);
      for (const token of [93, 94]) step.addRow(token, ENOUGH + token, 0);
      backend.submit(otherList, step);
      expect(await tokenIn(other)).toBe(93);
      expect(await tokenIn(out)).toBe((7 * (ENOUGH - 1) + 3) % VOCABULARY);
    }
  });

  it('gives way to copies, reads and memory that is freed', async () => {
    for (let round = 0; round < 5; round++) {
      await decode(ENOUGH);
      const spare = output('spare');
      const zeros = backend.allocateHost(spare.bytes, 'zeros');
      await backend.wait(backend.copy({ ...spare, memory: zeros }, spare));
      expect(new Set(new Float32Array(await backend.read(spare)))).toEqual(new Set([0]));
      await decode(ENOUGH, ENOUGH);
      spare.memory.free();
      zeros.free();
    }
  });

  it('that nobody wants repeats the last step, and the next one comes as it should', async () => {
    for (let round = 0; round < 5; round++) {
      await decode(ENOUGH);
      await sleep(30);
      expect(await tokenIn(out)).toBe((7 * (ENOUGH - 1) + 3) % VOCABULARY);
      await decode(3, ENOUGH);
    }
  });

  it('keeps no other engine waiting', async () => {
    const second = openCudaDevice();
    await decode(ENOUGH);
    for (let i = 0; i < 20; i++) second.allocateDevice(1 << 24, 'memory').free();
    await second.dispose();
    await decode(ENOUGH, ENOUGH);
  });
});
