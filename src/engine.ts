import type { Backend, DeviceInfo, DeviceRange, PassSizes } from './backend/backend.js';
import { createBackend } from './backend/index.js';
import { NtxError } from './errors.js';
import { Forward } from './forward.js';
import { LanguageModel } from './language-model.js';
import { type ModelConfig, OUTPUTS, ROPE_TABLE, ropeTable } from './model/index.js';
import { EMBEDDED_MODEL, type OpenedModel, openModel } from './open-model.js';
import type { LoadModelOptions } from './options.js';
import { allocateBuffers } from './streaming/buffers.js';
import type { FileReader } from './streaming/file-reader.js';
import type { LoadOptions } from './streaming/load.js';
import { openReader } from './streaming/open-reader.js';
import { placeWeights } from './streaming/place.js';
import { type ExecutablePlan, recordPlan, residentPlan } from './streaming/recording.js';
import { startStreamer } from './streaming/start.js';
import type { Streamer } from './streaming/streamer.js';

const DEFAULT_CONTEXT = 4096;
/** Rows of a prompt's pass: a GPU needs more of them to be busy, and a CPU's memory is better used for weights. */
const DEFAULT_MAX_ROWS = { cpu: 256, gpu: 512 };
const DEFAULT_MAX_OUTPUTS = 8;

/**
 * Loads a GGUF model (the embedded one without a path) and makes it ready to run.
 * Throws NtxError with a sentence and advice; nothing stays allocated then.
 */
export async function loadModel(path: string = EMBEDDED_MODEL, options: LoadModelOptions = {}): Promise<LanguageModel> {
  const opened = await openModel(path, options.nvme);
  try {
    const backend = await createBackend(options);
    try {
      const sizes = passSizes(opened.model.config, backend.device, options);
      const { forward, memory, close } = await createForward(opened, backend, sizes, options);
      const dispose = () => close().then(() => backend.dispose().then(() => opened.close()));
      return new LanguageModel(opened, backend.device, forward, memory, dispose);
    } catch (error) {
      await backend.dispose();
      throw error;
    }
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** The sizes of passes that options ask for, on a kind of device. Throws NtxError('bad-argument'). */
export function passSizes(
  config: ModelConfig,
  { kind }: Pick<DeviceInfo, 'kind'>,
  options: LoadModelOptions,
): PassSizes {
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

export interface ForwardOptions extends LoadOptions {
  /** Where weights live and how they move. Default: all on the device. */
  readonly plan?: ExecutablePlan | undefined;
  /** What reads units of the tier `disk`, and is closed with the rest. Default: the fastest way to the model's files. */
  readonly reader?: FileReader | undefined;
  /** Compare the checksum of every unit that is read again with that of its first read. */
  readonly verify?: boolean | undefined;
}

/** A model that is ready for passes. Its memory lives as long as the backend, or until free(). */
export interface LoadedForward {
  readonly forward: Forward;
  readonly streamer: Streamer;
  /** Bytes in memory. */
  readonly memory: { readonly weights: number; readonly buffers: number };
  /** Ends reads that are under way. To be called before the backend is disposed. */
  close(): Promise<void>;
  /** Closes, and frees the memory of a backend that lives on. */
  free(): Promise<void>;
}

/** Loads the weights to where the plan has them, and records passes of these sizes. */
export async function createForward(
  { gguf, model }: OpenedModel,
  backend: Backend,
  sizes: PassSizes,
  options: ForwardOptions = {},
): Promise<LoadedForward> {
  const plan = options.plan ?? residentPlan(model);
  const buffers = allocateBuffers(backend, model.buffers, sizes);
  await fill(backend, buffers.ranges.get(ROPE_TABLE)!, ropeTable(model.config.rope, sizes.context));
  const placed = await placeWeights(gguf, model, backend, plan, options);
  const recordings = recordPlan(backend, model, plan, { ...placed, buffers: buffers.ranges }, sizes);
  for (const { list } of recordings) await list.ready?.(options.onKernels);
  const paths = gguf.files.map(({ path }) => path);
  const reader = plan.staging.length === 0 ? null : (options.reader ?? (await openReader(paths)));
  const { verify = false } = options;
  const { streamer, close } = await startStreamer({ backend, model, placed, recordings, reader, verify });
  const forward = new Forward(backend, streamer, buffers.ranges.get(OUTPUTS)!, sizes);
  const free = async () => {
    await close();
    await streamer.idle();
    for (const { list } of recordings) list.dispose();
    placed.free();
    buffers.free();
  };
  return { forward, streamer, memory: { weights: placed.bytes, buffers: buffers.bytes }, close, free };
}

async function fill(backend: Backend, to: DeviceRange, values: Float32Array<ArrayBuffer>): Promise<void> {
  const staging = backend.allocateHost(values.byteLength, 'staging of a table');
  staging.view(0, values.byteLength).set(new Uint8Array(values.buffer));
  await backend.wait(backend.copy({ memory: staging, offset: 0, bytes: values.byteLength }, to));
  staging.free();
}
