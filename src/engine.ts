import type { Backend, DeviceInfo, DeviceRange, PassSizes } from './backend/backend.js';
import { createBackend } from './backend/index.js';
import { NtxError } from './errors.js';
import { Forward } from './forward.js';
import { LanguageModel } from './language-model.js';
import { type ModelConfig, OUTPUTS, ROPE_TABLE, ropeTable } from './model/index.js';
import { EMBEDDED_MODEL, type OpenedModel, openModel } from './open-model.js';
import type { LoadModelOptions } from './options.js';
import { allocateBuffers } from './streaming/buffers.js';
import { type LoadOptions, loadWeights } from './streaming/load.js';

const DEFAULT_CONTEXT = 4096;
/** Rows of a prompt's pass: a GPU needs more of them to be busy, and a CPU's memory is better used for weights. */
const DEFAULT_MAX_ROWS = { cpu: 256, gpu: 512 };
const DEFAULT_MAX_OUTPUTS = 8;

/**
 * Loads a GGUF model (the embedded one without a path) and makes it ready to run.
 * Throws NtxError with a sentence and advice; nothing stays allocated then.
 */
export async function loadModel(path: string = EMBEDDED_MODEL, options: LoadModelOptions = {}): Promise<LanguageModel> {
  const opened = await openModel(path);
  const backend = await createBackend(options);
  try {
    const sizes = passSizes(opened.model.config, backend.device, options);
    const { forward, memory } = await createForward(opened, backend, sizes, options);
    return new LanguageModel(opened, backend, forward, memory);
  } catch (error) {
    await backend.dispose();
    throw error;
  }
}

function passSizes(config: ModelConfig, { kind }: DeviceInfo, options: LoadModelOptions): PassSizes {
  const whole = (name: 'context' | 'maxRows' | 'maxOutputs', fallback: number) => {
    const value = options[name] ?? fallback;
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 24) {
      throw new NtxError(
        'bad-argument',
        `${name}: expected a whole number from 1 to 2^24, got ${value}`,
        'give another',
      );
    }
    return value;
  };
  const context = whole('context', Math.min(config.trainedContext, DEFAULT_CONTEXT));
  const maxRows = Math.min(whole('maxRows', kind === 'cpu' ? DEFAULT_MAX_ROWS.cpu : DEFAULT_MAX_ROWS.gpu), context);
  return { context, slots: 1, maxRows, maxOutputs: whole('maxOutputs', DEFAULT_MAX_OUTPUTS) };
}

/** Loads the weights and records a model's passes of these sizes. What it allocates lives as long as the backend. */
export async function createForward(
  { gguf, model }: OpenedModel,
  backend: Backend,
  sizes: PassSizes,
  options: LoadOptions = {},
): Promise<{ forward: Forward; memory: { weights: number; buffers: number } }> {
  const buffers = allocateBuffers(backend, model.buffers, sizes);
  await fill(backend, buffers.ranges.get(ROPE_TABLE)!, ropeTable(model.config.rope, sizes.context));
  const loaded = await loadWeights(gguf, model, backend, options);
  const ops = [...model.prologue, ...model.units.flatMap((unit) => unit.ops)];
  const list = backend.record(ops, { weights: loaded.weights, buffers: buffers.ranges, sizes });
  await list.ready?.(options.onKernels);
  const forward = new Forward(backend, [list], buffers.ranges.get(OUTPUTS)!, sizes);
  return { forward, memory: { weights: loaded.bytes, buffers: buffers.bytes } };
}

async function fill(backend: Backend, to: DeviceRange, values: Float32Array<ArrayBuffer>): Promise<void> {
  const staging = backend.allocateHost(values.byteLength, 'staging of a table');
  staging.view(0, values.byteLength).set(new Uint8Array(values.buffer));
  await backend.wait(backend.copy({ memory: staging, offset: 0, bytes: values.byteLength }, to));
  staging.free();
}
