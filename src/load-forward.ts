// From an opened model to one that runs passes: buffers, weights in their tiers, recordings, the streamer.
import type { Backend, DeviceRange, PassSizes } from './backend/backend.js';
import { createCpuBackend } from './backend/cpu/cpu.js';
import { Forward } from './forward.js';
import { OUTPUTS, ROPE_TABLE, ropeTable } from './model/index.js';
import type { OpenedModel } from './open-model.js';
import { allocateBuffers } from './streaming/buffers.js';
import { HIDDEN, RecordedCpuUnits } from './streaming/cpu-units.js';
import type { FileReader } from './streaming/file-reader.js';
import type { LoadOptions } from './streaming/load.js';
import { openReader, type ReadSize, USUAL_READS } from './streaming/open-reader.js';
import { placeWeights } from './streaming/place.js';
import { type ExecutablePlan, type Recording, recordPlan, residentPlan } from './streaming/recording.js';
import { ReopeningReader } from './streaming/reopening-reader.js';
import { startStreamer } from './streaming/start.js';
import type { Streamer } from './streaming/streamer.js';

export interface ForwardOptions extends LoadOptions {
  /** Where weights live and how they move. Default: all on the device. */
  readonly plan?: ExecutablePlan | undefined;
  /** What reads units of the tier `disk`, and is closed with the rest. Default: the fastest way to the model's files. */
  readonly reader?: FileReader | undefined;
  /** How that reads, at least: as the plan takes it to. Default: the usual way. */
  readonly readSize?: ReadSize | undefined;
  /** Compare the checksum of every unit that is read again with that of its first read. */
  readonly verify?: boolean | undefined;
  /** Makes what computes units of the tier `host-compute`; it is disposed with the rest. Default: the cpu backend. */
  readonly createCpu?: (() => Backend) | undefined;
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
  let cpu: Backend | null = null;
  try {
    const buffers = allocateBuffers(backend, model.buffers, sizes);
    undo.push(() => buffers.free());
    await fill(backend, buffers.ranges.get(ROPE_TABLE)!, ropeTable(model.config.rope, sizes.context));
    const { verify = false, createCpu = () => createCpuBackend({ besideDevice: true }) } = options;
    if (plan.tiers.includes('host-compute')) cpu = createCpu();
    const placed = await placeWeights(gguf, model, backend, plan, options, cpu);
    undo.push(() => placed.free());
    const recordings = recordPlan(backend, model, plan, { ...placed, buffers: buffers.ranges }, sizes);
    undo.push(() => {
      for (const { list } of recordings) list.dispose();
    });
    const own = { device: backend, model, plan, weights: placed.onCpu, hidden: buffers.ranges.get(HIDDEN)!, sizes };
    const computes = plan.schedules.some(({ onCpu }) => onCpu.length > 0);
    const cpuUnits = cpu && computes ? new RecordedCpuUnits({ ...own, cpu }) : null;
    undo.push(() => cpuUnits?.free());
    for (const { list } of recordings) await list.ready?.(options.onKernels);
    const paths = gguf.files.map(({ path }) => path);
    const open = () => openReader(paths, readSizeFor(plan, options.readSize));
    const openAgain = async () => (verify ? new ReopeningReader(await open(), open) : open());
    const reader = plan.staging.length === 0 ? null : (options.reader ?? (await openAgain()));
    const parts = { backend, model, placed, recordings, reader, verify, load: options, cpu: cpuUnits };
    const { streamer, close: closeStreamer } = await startStreamer(parts);
    const close = async () => {
      await closeStreamer();
      if (cpu === null) return;
      // The device may still copy out of memory that is the CPU's. If it has failed, it does not, and its pass says so.
      await Promise.all([streamer.idle(), cpuUnits?.settle()]).catch(() => {});
      cpuUnits?.free();
      placed.unpin();
      await cpu.dispose();
    };
    const free = async () => {
      await close();
      await streamer.idle();
      for (const step of undo.toReversed()) step();
    };
    const forward = new Forward(backend, streamer, buffers.ranges.get(OUTPUTS)!, sizes);
    const memory = { weights: placed.bytes, buffers: buffers.bytes + listBytes(recordings) + (cpuUnits?.bytes ?? 0) };
    return { forward, streamer, memory, close, free };
  } catch (error) {
    for (const step of undo.toReversed()) step();
    await cpu?.dispose();
    throw error;
  }
}

/** What the lists have taken; recordings of equal passes share one. */
function listBytes(recordings: readonly Recording[]): number {
  const lists = new Set(recordings.map(({ list }) => list));
  return [...lists].reduce((sum, { memory }) => sum + (memory ? memory.device + memory.host : 0), 0);
}

/** Units that are this much longer than what is in flight lose nothing where there is twice as much of it. */
const LONG = 8;

/** More requests at a time where units are long: the end of a unit's read is late by what is read beside it. */
export function readSizeFor(plan: ExecutablePlan, size: ReadSize = USUAL_READS): ReadSize {
  const reads = plan.schedules.flatMap(({ transfers }) => transfers).filter(({ staging }) => staging !== null);
  const shortest = Math.min(...reads.map(({ extents }) => extents.reduce((sum, { bytes }) => sum + bytes, 0)));
  return shortest >= LONG * size.depth * size.maxBytes ? { ...size, depth: 2 * size.depth } : size;
}

async function fill(backend: Backend, to: DeviceRange, values: Float32Array<ArrayBuffer>): Promise<void> {
  const staging = backend.allocateHost(values.byteLength, 'staging of a table');
  staging.view(0, values.byteLength).set(new Uint8Array(values.buffer));
  await backend.wait(backend.copy({ memory: staging, offset: 0, bytes: values.byteLength }, to));
  staging.free();
}
