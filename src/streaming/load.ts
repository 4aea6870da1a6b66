// Weights from the file to where they will be used. File bytes go straight into the backend's host memory: never through
// the JS heap, and never twice (laws 1 and 3).
import { type FileHandle, open } from 'node:fs/promises';
import type { Backend, BoundWeight, DeviceMemory, HostMemory } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { GgufModel, TensorInfo } from '../gguf/types.js';
import type { Model } from '../model/index.js';

/** Bytes of one read: large enough for a drive's full rate, small enough that several are always in flight. */
const READ_BYTES = 8 << 20;
/** libuv's thread pool has four threads by default. */
const READS_IN_FLIGHT = 4;
/** A cache line: no two tensors share one. */
const ALIGNMENT = 64;

export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface LoadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
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
  readonly memory: HostMemory;
  readonly at: number;
}

/** Loads all of a model's tensors. On failure or cancellation everything is freed before the NtxError comes. */
export async function loadWeights(
  gguf: GgufModel,
  model: Model,
  backend: Backend,
  options: LoadOptions = {},
): Promise<LoadedWeights> {
  const weights = new Map<string, BoundWeight>();
  const memories: DeviceMemory[] = [];
  const reads: Read[] = [];
  const groups = [
    { label: 'norms and biases', tensors: model.small },
    { label: 'token embedding', tensors: [model.embedding] },
    ...model.units.map((unit) => ({ label: unit.name, tensors: unit.tensors })),
  ];
  try {
    for (const group of groups) {
      // A tied output head is the embedding, which is there already.
      const tensors = group.tensors.filter((tensor) => !weights.has(tensor.name));
      if (tensors.length > 0) placeTensors(backend, group.label, tensors, { weights, memories, reads });
    }
    await readAll(gguf, reads, options);
  } catch (error) {
    for (const memory of memories) memory.free();
    throw error;
  }
  return {
    weights,
    bytes: reads.reduce((sum, read) => sum + read.bytes, 0),
    free: () => {
      for (const memory of memories) memory.free();
    },
  };
}

function placeTensors(
  backend: Backend,
  label: string,
  tensors: readonly TensorInfo[],
  into: { weights: Map<string, BoundWeight>; memories: DeviceMemory[]; reads: Read[] },
): void {
  const padded = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  const memory = backend.allocateHost(
    tensors.reduce((sum, tensor) => sum + padded(tensor.bytes), 0),
    label,
  );
  into.memories.push(memory);
  let at = 0;
  for (const { name, type, shape, file, offset, bytes } of tensors) {
    const rows = shape.slice(1).reduce((product, size) => product * size, 1);
    into.weights.set(name, { type, rows, cols: shape[0], range: { memory, offset: at, bytes } });
    for (let done = 0; done < bytes; done += READ_BYTES) {
      const piece = Math.min(READ_BYTES, bytes - done);
      into.reads.push({ file, offset: offset + done, bytes: piece, memory, at: at + done });
    }
    at += padded(bytes);
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

async function readAll(gguf: GgufModel, reads: readonly Read[], options: LoadOptions): Promise<void> {
  const handles: FileHandle[] = [];
  const totalBytes = reads.reduce((sum, read) => sum + read.bytes, 0);
  let loadedBytes = 0;
  let next = 0;
  let failed = false;
  const reader = async () => {
    while (next < reads.length && !failed) {
      if (options.signal?.aborted) throw new NtxError('cancelled', 'loading was cancelled', 'run the command again');
      const read = reads[next++];
      await readExactly(
        handles[read.file],
        gguf.files[read.file].path,
        read.memory.view(read.at, read.bytes),
        read.offset,
      );
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
    await Promise.all(handles.map((handle) => handle.close()));
  }
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
