// Weights from the file to where they will be used. File bytes go straight into the backend's host memory: never through
// the JS heap, and never twice (laws 1 and 3).
import { type FileHandle, open } from 'node:fs/promises';
import type { Backend, BoundWeight, DeviceMemory, DeviceRange, HostMemory } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { GgufModel, TensorInfo } from '../gguf/types.js';
import type { Model } from '../model/index.js';

/** Bytes of one read: large enough for a drive's full rate, small enough that several are always in flight. */
const READ_BYTES = 8 << 20;
/** libuv's thread pool has four threads by default. */
const READS_IN_FLIGHT = 4;
/** WebGPU's largest minimum for offsets of bindings; more than a cache line, which no two tensors should share. */
const ALIGNMENT = 256;

export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface LoadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Called while kernels are compiled, after the weights, where the backend compiles any. */
  readonly onKernels?: ((compiled: number, total: number) => void) | undefined;
}

export interface LoadedWeights {
  readonly weights: ReadonlyMap<string, BoundWeight>;
  readonly bytes: number;
  free(): void;
}

interface Read {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  /** Where the bytes go; through staging, unless the host can write there. */
  readonly memory: DeviceMemory | HostMemory;
  readonly at: number;
}

/** What has been placed so far. */
interface Placed {
  readonly weights: Map<string, BoundWeight>;
  readonly memories: DeviceMemory[];
  readonly reads: Read[];
}

/** Loads all of a model's tensors. On failure or cancellation everything is freed before the NtxError comes. */
export async function loadWeights(
  gguf: GgufModel,
  model: Model,
  backend: Backend,
  options: LoadOptions = {},
): Promise<LoadedWeights> {
  const placed: Placed = { weights: new Map(), memories: [], reads: [] };
  const { weights, memories, reads } = placed;
  const free = () => {
    for (const memory of memories) memory.free();
  };
  try {
    placeTensors(backend, 'norms and biases', model.small, placed);
    placeTable(backend, model.embedding, placed);
    for (const unit of model.units) placeTensors(backend, unit.name, unit.tensors, placed);
    await readAll(gguf, reads, backend, options);
  } catch (error) {
    free();
    throw error;
  }
  return { weights, bytes: reads.reduce((sum, read) => sum + read.bytes, 0), free };
}

/** The embedding stays with the host, which gives a pass its rows. */
function placeTable(backend: Backend, tensor: TensorInfo, placed: Placed): void {
  const label = 'token embedding';
  const memory = backend.allocateTable?.(tensor.bytes, label) ?? backend.allocateHost(tensor.bytes, label);
  placed.memories.push(memory);
  placed.weights.set(tensor.name, bind(tensor, { memory, offset: 0, bytes: tensor.bytes }));
  addReads(tensor, memory, 0, placed.reads);
}

/** Tensors that ops use on the device: in one memory, or in several where the device allows only smaller ones. */
function placeTensors(backend: Backend, label: string, tensors: readonly TensorInfo[], placed: Placed): void {
  const { hostIsDevice, allocationBytes = Number.POSITIVE_INFINITY } = backend.device;
  // A tied output head is the embedding: the host's bytes where they are the device's as well, else a copy of them.
  const missing = tensors.filter(({ name }) => !hostIsDevice || !placed.weights.has(name));
  let group: TensorInfo[] = [];
  let bytes = 0;
  const allocate = () => {
    if (group.length === 0) return;
    const memory = hostIsDevice ? backend.allocateHost(bytes, label) : backend.allocateDevice(bytes, label);
    placed.memories.push(memory);
    let at = 0;
    for (const tensor of group) {
      const table = placed.weights.get(tensor.name)?.range;
      const range = { memory, offset: at, bytes: tensor.bytes };
      placed.weights.set(tensor.name, { ...bind(tensor, range), ...(table && { table }) });
      addReads(tensor, memory, at, placed.reads);
      at += padded(tensor.bytes);
    }
    group = [];
    bytes = 0;
  };
  for (const tensor of missing) {
    if (bytes + padded(tensor.bytes) > allocationBytes) allocate();
    group.push(tensor);
    bytes += padded(tensor.bytes);
  }
  allocate();
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function bind({ type, shape }: TensorInfo, range: DeviceRange): BoundWeight {
  const rows = shape.slice(1).reduce((product, size) => product * size, 1);
  return { type, rows, cols: shape[0], range };
}

function addReads({ file, offset, bytes }: TensorInfo, memory: Read['memory'], at: number, reads: Read[]): void {
  for (let done = 0; done < bytes; done += READ_BYTES) {
    reads.push({ file, offset: offset + done, bytes: Math.min(READ_BYTES, bytes - done), memory, at: at + done });
  }
}

/** A small F32 tensor as numbers, for what TypeScript computes from (rope_freqs). */
export async function readFloats(gguf: GgufModel, tensor: TensorInfo): Promise<Float32Array> {
  if (tensor.type !== 'F32' || tensor.bytes > 1 << 20) {
    const received = `${tensor.type}, ${tensor.bytes} bytes`;
    throw new NtxError(
      'bad-file',
      `tensor ${tensor.name}: expected at most 1 MiB of F32, got ${received}`,
      'convert it again',
    );
  }
  const { path } = gguf.files[tensor.file];
  const values = new Float32Array(tensor.bytes / 4);
  const handle = await open(path, 'r');
  try {
    await readExactly(handle, path, new Uint8Array(values.buffer), tensor.offset);
  } finally {
    await handle.close();
  }
  return values;
}

async function readAll(gguf: GgufModel, reads: readonly Read[], backend: Backend, options: LoadOptions): Promise<void> {
  const handles: FileHandle[] = [];
  const stagings: HostMemory[] = [];
  const totalBytes = reads.reduce((sum, read) => sum + read.bytes, 0);
  let loadedBytes = 0;
  let next = 0;
  let failed = false;
  const reader = async () => {
    let staging: HostMemory | null = null;
    while (next < reads.length && !failed) {
      if (options.signal?.aborted) throw new NtxError('cancelled', 'loading was cancelled', 'run the command again');
      const read = reads[next++];
      const { path } = gguf.files[read.file];
      const fill = (to: Uint8Array) => readExactly(handles[read.file], path, to, read.offset);
      if (isHost(read.memory)) {
        await fill(read.memory.view(read.at, read.bytes));
      } else {
        if (!staging) {
          staging = backend.allocateHost(READ_BYTES, 'staging of weights');
          stagings.push(staging);
        }
        await fill(staging.view(0, read.bytes));
        await copyPiece(backend, staging, read);
      }
      loadedBytes += read.bytes;
      options.onProgress?.({ loadedBytes, totalBytes });
    }
  };
  try {
    for (const { path } of gguf.files) handles.push(await open(path, 'r'));
    const readers = Array.from({ length: READS_IN_FLIGHT }, () =>
      reader().catch((error: unknown) => {
        failed = true;
        throw error;
      }),
    );
    // All must have stopped before the memory that they write to may be freed.
    const settled = await Promise.allSettled(readers);
    const failure = settled.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
  } finally {
    for (const staging of stagings) staging.free();
    await Promise.all(handles.map((handle) => handle.close()));
  }
}

function isHost(memory: Read['memory']): memory is HostMemory {
  return 'view' in memory;
}

/** Staging to device, and staging ready for the next piece. Whole words: the rest of a tensor's padding is nobody's. */
async function copyPiece(backend: Backend, staging: HostMemory, { memory, at, bytes }: Read): Promise<void> {
  const whole = Math.ceil(bytes / 4) * 4;
  const fence = backend.copy({ memory: staging, offset: 0, bytes: whole }, { memory, offset: at, bytes: whole });
  await backend.wait(fence);
  await staging.map?.();
}

async function readExactly(handle: FileHandle, path: string, into: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const position = offset + done;
    let bytesRead: number;
    try {
      ({ bytesRead } = await handle.read(into, done, into.length - done, position));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new NtxError('io', `${path}: reading at byte ${position} failed: ${reason}`, 'check the drive', {
        cause: error,
      });
    }
    if (bytesRead === 0) {
      throw new NtxError(
        'io',
        `${path} ends at byte ${position}; it was longer when it was opened`,
        'another program is writing the file: load it again when that has ended',
      );
    }
    done += bytesRead;
  }
}
