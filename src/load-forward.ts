// From an opened model to one that runs passes: buffers, weights in their tiers, recordings, the streamer.
import type { Backend, DeviceRange, PassSizes } from './backend/backend.js';
import { Forward } from './forward.js';
import { OUTPUTS, ROPE_TABLE, ropeTable } from './model/index.js';
import type { OpenedModel } from './open-model.js';
import { allocateBuffers } from './streaming/buffers.js';
import type { FileReader } from './streaming/file-reader.js';
import type { LoadOptions } from './streaming/load.js';
import { openReader } from './streaming/open-reader.js';
import { placeWeights } from './streaming/place.js';
import { type ExecutablePlan, recordPlan, residentPlan } from './streaming/recording.js';
import { ReopeningReader } from './streaming/reopening-reader.js';
import { startStreamer } from './streaming/start.js';
import type { Streamer } from './streaming/streamer.js';

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

/**
 * Loads the weights to where the plan has them, and records passes of these sizes. Throws NtxError; nothing stays allocated then.
 */
export async function createForward(
  { gguf, model }: OpenedModel,
  backend: Backend,
  sizes: PassSizes,
  options: ForwardOptions = {},
): Promise<LoadedForward> {
  const plan = options.plan ?? residentPlan(model);
  const undo: (() => void)[] = [];
  try {
    const buffers = allocateBuffers(backend, model.buffers, sizes);
    undo.push(() => buffers.free());
    await fill(backend, buffers.ranges.get(ROPE_TABLE)!, ropeTable(model.config.rope, sizes.context));
    const placed = await placeWeights(gguf, model, backend, plan, options);
    undo.push(() => placed.free());
    const recordings = recordPlan(backend, model, plan, { ...placed, buffers: buffers.ranges }, sizes);
    undo.push(() => {
      for (const { list } of recordings) list.dispose();
    });
    for (const { list } of recordings) await list.ready?.(options.onKernels);
    const paths = gguf.files.map(({ path }) => path);
    const { verify = false } = options;
    const open = () => openReader(paths);
    const openAgain = async () => (verify ? new ReopeningReader(await open(), open) : open());
    const reader = plan.staging.length === 0 ? null : (options.reader ?? (await openAgain()));
    const { streamer, close } = await startStreamer({ backend, model, placed, recordings, reader, verify, load: options });
    const free = async () => {
      await close();
      await streamer.idle();
      for (const step of undo.toReversed()) step();
    };
    const forward = new Forward(backend, streamer, buffers.ranges.get(OUTPUTS)!, sizes);
    return { forward, streamer, memory: { weights: placed.bytes, buffers: buffers.bytes }, close, free };
  } catch (error) {
    for (const step of undo.toReversed()) step();
    throw error;
  }
}

async function fill(backend: Backend, to: DeviceRange, values: Float32Array<ArrayBuffer>): Promise<void> {
  const staging = backend.allocateHost(values.byteLength, 'staging of a table');
  staging.view(0, values.byteLength).set(new Uint8Array(values.buffer));
  await backend.wait(backend.copy({ memory: staging, offset: 0, bytes: values.byteLength }, to));
  staging.free();
}
