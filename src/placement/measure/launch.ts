// What a pass costs beside its bytes, on a model so small that reading it takes no time.
import type { Backend, Bindings, BoundWeight, CommandList, DeviceMemory } from '../../backend/backend.js';
import type { Op } from '../../backend/ops.js';
import { CANDIDATES, outputBytes } from '../../backend/outputs.js';
import { StepBuffer } from '../../backend/step.js';
import { OUTPUTS } from '../../model/index.js';
import { allocateBuffers } from '../../streaming/buffers.js';
import { shapeModel } from '../../synth/shape-model.js';
import { type Clock, fastest, fastestOfMany } from './timing.js';

const SHAPE = 'tiny-llama-256';
const TYPE = 'Q8_0';
/** Enough that a pass of them takes long beside its submit; fewer where everything is slow. */
const LAYERS = 16;
const FEW_LAYERS = 2;
const SIZES = { maxRows: 1, maxOutputs: 1, slots: 1, context: 16 };
/** Every device accepts such offsets. */
const ALIGNMENT = 256;

export interface LaunchCosts {
  /** Of one op of a recorded list. */
  readonly launchSeconds: number;
  /** Of an output head with next to no weights, from submit() to its candidates in JavaScript. */
  readonly passSeconds: number;
}

/** Times layers and an output head of zeros. */
export async function measureLaunch(backend: Backend, now: Clock): Promise<LaunchCosts> {
  const { backend: name, kind } = backend.device;
  const isSlow = name === 'reference' || kind === 'software-gpu';
  const { gguf, model } = shapeModel(SHAPE, TYPE, isSlow ? FEW_LAYERS : LAYERS);
  const buffers = allocateBuffers(backend, model.buffers, SIZES);
  const stride = Math.max(...[...gguf.tensors.values()].map(({ bytes }) => bytes)) + ALIGNMENT;
  let memory: DeviceMemory | null = null;
  const lists: CommandList[] = [];
  try {
    memory = backend.allocateDevice(stride, 'weights of a small model');
    const weights = new Map<string, BoundWeight>();
    for (const { name, type, shape, bytes } of gguf.tensors.values()) {
      // All in one place: they are zeros anyway.
      weights.set(name, { type, rows: shape[1] ?? 1, cols: shape[0], range: { memory, offset: 0, bytes } });
    }
    const bindings: Bindings = { weights, buffers: buffers.ranges, sizes: SIZES };
    const record = async (ops: readonly Op[]) => {
      const list = backend.record(ops, bindings);
      lists.push(list);
      await list.ready?.();
      return list;
    };
    const step = new StepBuffer(1, 1);
    step.addRow(0, 0, 0);
    step.addOutput(0);
    const layerOps = model.units.slice(0, -1).flatMap(({ ops }) => ops);
    const layers = await record(layerOps);
    const head = await record(model.units[model.units.length - 1].ops);
    const layersSeconds = await fastestOfMany(async (repeats) => {
      for (let repeat = 1; repeat < repeats; repeat++) backend.submit(layers, step);
      await backend.wait(backend.submit(layers, step));
    }, now);
    const outputs = { ...buffers.ranges.get(OUTPUTS)!, bytes: outputBytes(CANDIDATES) };
    const passSeconds = await fastest(async () => {
      backend.submit(head, step);
      await backend.read(outputs);
    }, now);
    return { launchSeconds: layersSeconds / layerOps.length, passSeconds };
  } finally {
    for (const list of lists) list.dispose();
    memory?.free();
    buffers.free();
  }
}
