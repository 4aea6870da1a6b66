// One small norm, which tests of a device's memory, order and errors run: y = 2 x / RMS(x), of rows of one value twice its sign.
import type { Backend, Bindings, DeviceRange, HostRange } from '../../src/backend/backend.js';
import type { Op } from '../../src/backend/ops.js';
import { StepBuffer } from '../../src/backend/step.js';

export const WIDTH = 64;
export const SIZES = { maxRows: 4, maxOutputs: 2, slots: 1, context: 16 };
export const NORM: Op = {
  kind: 'rms-norm',
  ...{ input: 'x', weight: 'weight', out: 'y', width: WIDTH, eps: 0, selectOutputs: false },
};

/** F32 values in host memory. */
export function stage(backend: Backend, values: ArrayLike<number>, label: string): HostRange {
  const bytes = 4 * values.length;
  const memory = backend.allocateHost(bytes, label);
  memory.view(0, bytes).set(new Uint8Array(Float32Array.from(values).buffer));
  return { memory, offset: 0, bytes };
}

/** F32 values in device memory. */
export function upload(backend: Backend, values: ArrayLike<number>, label: string): DeviceRange {
  const host = stage(backend, values, `staging of ${label}`);
  const range = { ...host, memory: backend.allocateDevice(host.bytes, label) };
  backend.copy(host, range);
  host.memory.free();
  return range;
}

export function normBindings(backend: Backend, input?: DeviceRange): Bindings {
  const x = input ?? upload(backend, new Float32Array(4 * WIDTH).fill(3), 'the input');
  const range = upload(backend, new Float32Array(WIDTH).fill(2), 'the norm');
  const y = upload(backend, new Float32Array(4 * WIDTH), 'the output');
  const weight = { type: 'F32', rows: 1, cols: WIDTH, range } as const;
  return { weights: new Map([['weight', weight]]), buffers: new Map(Object.entries({ x, y })), sizes: SIZES };
}

export function step(rows: number): StepBuffer {
  const buffer = new StepBuffer(SIZES.maxRows, SIZES.maxOutputs);
  for (let r = 0; r < rows; r++) buffer.addRow(0, r, 0);
  return buffer;
}

export async function floats(backend: Backend, range: DeviceRange): Promise<number[]> {
  return [...new Float32Array(await backend.read(range))];
}

/** Bytes that the process grows by over ten thousand passes. */
export async function growthOfPasses(backend: Backend): Promise<number> {
  const bindings = normBindings(backend);
  const list = backend.record([NORM], bindings);
  const passes = async (count: number) => {
    for (let i = 0; i < count; i++) {
      backend.submit(list, step(1 + (i % 4)));
      await backend.read({ ...bindings.buffers.get('y')!, bytes: 16 });
    }
    return process.memoryUsage.rss();
  };
  // The pools of driver and collector take some thousand passes to find their size.
  const before = await passes(10_000);
  return (await passes(10_000)) - before;
}
