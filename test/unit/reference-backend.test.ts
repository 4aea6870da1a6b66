// The reference as a backend: memory, order, errors. Its ops are tested in test/kernels.
import { afterEach, describe, expect, it } from 'vitest';
import type { Bindings, DeviceMemory, HostMemory } from '../../src/backend/backend.js';
import type { Op } from '../../src/backend/ops.js';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { StepBuffer } from '../../src/backend/step.js';

let backend = createReferenceBackend();
afterEach(async () => {
  await backend.dispose();
  backend = createReferenceBackend();
});

const internal = (message: RegExp) =>
  expect.objectContaining({ code: 'internal', message: expect.stringMatching(message) });

const range = (memory: DeviceMemory) => ({ memory, offset: 0, bytes: memory.bytes });
const hostRange = (memory: HostMemory) => ({ memory, offset: 0, bytes: memory.bytes });

function hostFloats(...values: number[]): HostMemory {
  const memory = backend.allocateHost(values.length * 4, 'floats');
  memory.view(0, memory.bytes).set(new Uint8Array(Float32Array.from(values).buffer));
  return memory;
}

const floatsIn = async (memory: DeviceMemory) => [...new Float32Array(await backend.read(range(memory)))];

/** x *= 2 by way of y, as a matrix of size 1. */
function doubling(): { x: HostMemory; ops: Op[]; bindings: Bindings } {
  const [x, y, two, one] = [hostFloats(1), hostFloats(0), hostFloats(2), hostFloats(1)];
  const matrix = (memory: DeviceMemory) => ({ type: 'F32' as const, rows: 1, cols: 1, range: range(memory) });
  const product = (input: string, weight: string, out: string): Op => ({
    kind: 'matmul',
    input,
    parts: [{ weight, bias: null, out }],
    accumulate: false,
    outputs: false,
  });
  return {
    x,
    ops: [product('x', 'two', 'y'), product('y', 'one', 'x')],
    bindings: {
      weights: new Map(Object.entries({ two: matrix(two), one: matrix(one) })),
      buffers: new Map(Object.entries({ x: range(x), y: range(y) })),
      sizes: { maxRows: 1, maxOutputs: 1, slots: 1, context: 4 },
    },
  };
}

function oneRow(): StepBuffer {
  const step = new StepBuffer(1, 1);
  step.addRow(0, 0, 0);
  return step;
}

describe('memory', () => {
  it('is zero, and lies behind views', async () => {
    const memory = backend.allocateHost(16, 'some');
    expect(await floatsIn(memory)).toEqual([0, 0, 0, 0]);
    memory.view(4, 4).set([0, 0, 0x80, 0x3f]);
    expect(await floatsIn(memory)).toEqual([0, 1, 0, 0]);
  });

  it('is not read or written outside of its bounds', async () => {
    const [small, large] = [backend.allocateHost(8, 'small'), backend.allocateHost(16, 'large')];
    expect(() => small.view(4, 8)).toThrowError(internal(/small has 8 bytes/));
    await expect(backend.read({ memory: small, offset: -1, bytes: 2 })).rejects.toEqual(internal(/small/));
    expect(() => backend.copy(hostRange(large), range(small))).toThrowError(internal(/16 bytes to a range of 8/));
    expect(() => backend.copy({ memory: small, offset: 8, bytes: 4 }, { ...range(large), bytes: 4 })).toThrowError(
      internal(/small/),
    );
  });

  it('that the machine cannot give is refused with a sentence', () => {
    expect(() => backend.allocateDevice(2 ** 52, 'everything')).toThrowError(
      expect.objectContaining({ code: 'no-memory', message: expect.stringContaining('everything') }),
    );
  });

  it('cannot be used after free(), nor after dispose()', async () => {
    const [first, second] = [backend.allocateHost(8, 'first'), backend.allocateHost(8, 'second')];
    first.free();
    expect(() => first.view(0, 8)).toThrowError(internal(/first is used after free/));
    await backend.dispose();
    expect(() => second.view(0, 8)).toThrowError(internal(/second/));
  });

  it('of another backend is refused', () => {
    const foreign = { bytes: 8, label: 'foreign', free: () => {} };
    expect(() => backend.copy(hostRange(backend.allocateHost(8, 'own')), range(foreign))).toThrowError(
      internal(/foreign/),
    );
  });
});

describe('submit', () => {
  it('replays a list, in the order of the calls, with copies and reads between', async () => {
    const { x, ops, bindings } = doubling();
    const list = backend.record(ops, bindings);
    expect(list.opCount).toBe(2);
    const [seven, kept] = [hostFloats(7), backend.allocateDevice(4, 'kept')];
    backend.submit(list, oneRow());
    backend.submit(list, oneRow());
    const early = floatsIn(x);
    backend.copy(hostRange(x), range(kept));
    backend.copy(hostRange(seven), range(x));
    await backend.wait(backend.submit(list, oneRow()));
    expect([await early, await floatsIn(kept), await floatsIn(x)]).toEqual([[4], [4], [14]]);
  });

  it('copies the step', async () => {
    const { x, ops, bindings } = doubling();
    const list = backend.record(ops, bindings);
    const step = oneRow();
    backend.submit(list, step);
    step.clear();
    expect(await floatsIn(x)).toEqual([2]);
  });

  it('lets timers run during a pass', async () => {
    const cols = 4096;
    const rows = 4096;
    const weight = backend.allocateHost(rows * cols * 4, 'weight');
    const [input, out] = [backend.allocateDevice(cols * 4, 'in'), backend.allocateDevice(rows * 4, 'out')];
    const list = backend.record(
      [
        {
          kind: 'matmul',
          input: 'in',
          parts: [{ weight: 'w', bias: null, out: 'out' }],
          accumulate: false,
          outputs: false,
        },
      ],
      {
        weights: new Map([['w', { type: 'F32', rows, cols, range: range(weight) }]]),
        buffers: new Map([
          ['in', range(input)],
          ['out', range(out)],
        ]),
        sizes: { maxRows: 1, maxOutputs: 1, slots: 1, context: 4 },
      },
    );
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await backend.wait(backend.submit(list, oneRow()));
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
  });

  it('refuses bad ops, bad steps and lists that are gone', () => {
    const { ops, bindings } = doubling();
    expect(() => backend.record([{ ...ops[0], input: 'none' } as Op], bindings)).toThrowError(internal(/none/));
    const list = backend.record(ops, bindings);
    expect(() => backend.submit(list, new StepBuffer(2, 1))).toThrowError(internal(/2 rows/));
    list.dispose();
    expect(() => backend.submit(list, oneRow())).toThrowError(internal(/disposed/));
  });

  it('reports a pass that failed to whoever waits or reads afterwards', async () => {
    const { x, ops, bindings } = doubling();
    const list = backend.record(ops, bindings);
    const other = backend.allocateHost(4, 'other');
    const fence = backend.submit(list, oneRow());
    x.free();
    await expect(backend.wait(fence)).rejects.toEqual(internal(/used after free/));
    await expect(backend.read(range(other))).rejects.toEqual(internal(/used after free/));
  });
});

it('disposes after the pass that is running', async () => {
  const { ops, bindings } = doubling();
  const list = backend.record(ops, bindings);
  const fence = backend.submit(list, oneRow());
  await backend.dispose();
  await expect(backend.wait(fence)).resolves.toBeUndefined();
});
