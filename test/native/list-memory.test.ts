// What the planner leaves room for is what recording allocates: shapes of real models, by hand as the addon lays its scratch out.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DeviceRange, PassSizes } from '../../src/backend/backend.js';
import { type CpuBackend, createCpuBackend } from '../../src/backend/cpu/cpu.js';
import { listMemory } from '../../src/backend/list-memory.js';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { openModel } from '../../src/index.js';
import { bufferBytes } from '../../src/streaming/buffers.js';
import { bind, matricesOf } from '../../src/streaming/layout.js';
import { recordedOps, residentPlan } from '../../src/streaming/recording.js';
import { shapeModel } from '../../src/synth/shape-model.js';
import { FABLE_DRAFT, STORIES } from '../model/files.js';
import { checkPassBytes } from '../streaming/pass-bytes.js';

const THREADS = 3;
const SIZES: readonly PassSizes[] = [
  { maxRows: 1, maxOutputs: 1, slots: 1, context: 1 },
  { maxRows: 17, maxOutputs: 8, slots: 2, context: 5000 },
  { maxRows: 600, maxOutputs: 30, slots: 1, context: 40_000 },
];

let backend: CpuBackend;
beforeEach(() => {
  backend = createCpuBackend({ threads: THREADS });
});
afterEach(() => backend.dispose());

/** Bytes that the addon has allocated in this process: it says so to whoever asks for more than there can be. */
function allocated(): number {
  try {
    backend.allocateHost(2 ** 52, 'too much');
  } catch (error) {
    return Number(/beside the (\d+) bytes in use/.exec((error as Error).message)![1]);
  }
  throw new Error('there is memory without end');
}

test.each([
  ['llama-1b', 'Q4_K_M'],
  ['llama-70b', 'Q6_K'],
  ['qwen3-32b', 'Q8_0'],
])('a recording of %s %s takes what its shapes say', (name, type) => {
  const { model } = shapeModel(name, type, 1);
  // Nothing is written: memory of the CPU is pages that do not exist yet.
  const place = (bytes: number, label: string): DeviceRange => ({
    memory: backend.allocateHost(bytes, label),
    offset: 0,
    bytes,
  });
  const tensors = [model.embedding, ...model.small, ...model.units.flatMap((unit) => unit.tensors)];
  const weights = new Map(tensors.map((tensor) => [tensor.name, bind(tensor, place(tensor.bytes, tensor.name))]));
  for (const sizes of SIZES) {
    const ranges = model.buffers.map((spec) => [spec.name, place(bufferBytes(spec, sizes), spec.name)] as const);
    for (const ops of [...recordedOps(model, residentPlan(model).schedules), ...model.units.map((unit) => unit.ops)]) {
      const before = allocated();
      const list = backend.record(ops, { weights, buffers: new Map(ranges), sizes });
      const said = listMemory('cpu', { ops, weights: matricesOf(model), sizes }, THREADS);
      expect(said).toEqual({ device: 0, host: allocated() - before });
      expect(list.memory).toEqual(said);
      list.dispose();
    }
    for (const [, { memory }] of ranges) memory.free();
  }
});

test.each([FABLE_DRAFT, STORIES])('units on the CPU take what the plan says: %s', async (path) => {
  const device = createReferenceBackend();
  const opened = await openModel(path);
  await checkPassBytes(device, opened, () => createCpuBackend({ threads: THREADS }), THREADS);
  await device.dispose();
});
