// Weights from the file to where they will be used. File bytes go straight into the backend's host memory: never through
// the JS heap, and never twice (laws 1 and 3).
import type { Backend, BoundWeight, DeviceMemory, DeviceRange, HostMemory } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { GgufModel, TensorInfo } from '../gguf/types.js';
import type { Model } from '../model/index.js';
import { openReader } from './open-reader.js';
import { type ReadOptions, readWeights, type WeightRange } from './read-weights.js';

/** WebGPU's largest minimum for offsets of bindings; more than a cache line, which no two tensors should share. */
const ALIGNMENT = 256;
/** Of matrices where the host is the device (DeviceInfo.offsetAlignment). */
const MATRIX_ALIGNMENT = 32;
/** Bytes between two tensors of a file that are read with them, padding above all: less than a request to a drive costs. */
const WORTH_READING = 4096;

export interface LoadOptions extends ReadOptions {
  /** Called while kernels are compiled, after the weights, where the backend compiles any. */
  readonly onKernels?: ((compiled: number, total: number) => void) | undefined;
}

export interface LoadedWeights {
  readonly weights: ReadonlyMap<string, BoundWeight>;
  readonly bytes: number;
  free(): void;
}

/** What has been placed so far. */
interface Placed {
  readonly weights: Map<string, BoundWeight>;
  readonly memories: DeviceMemory[];
  readonly ranges: WeightRange[];
  /** Of the tensors. */
  bytes: number;
}

/** Loads all of a model's tensors. On failure or cancellation everything is freed before the NtxError comes. */
export async function loadWeights(
  gguf: GgufModel,
  model: Model,
  backend: Backend,
  options: LoadOptions = {},
): Promise<LoadedWeights> {
  const placed: Placed = { weights: new Map(), memories: [], ranges: [], bytes: 0 };
  const { weights, memories, ranges } = placed;
  const free = () => {
    for (const memory of memories) memory.free();
  };
  const { hostIsDevice } = backend.device;
  const reader = await openReader(
    gguf.files.map(({ path }) => path),
    { useCache: true, ...(hostIsDevice && { method: 'pread' }) }, // into fresh memory there, into staging elsewhere
  );
  try {
    const place = hostIsDevice ? placeInHost : placeOnDevice;
    place(backend, 'norms and biases', model.small, reader.alignment, placed);
    placeTable(backend, model.embedding, reader.alignment, placed);
    for (const unit of model.units) place(backend, unit.name, unit.tensors, reader.alignment, placed);
    const fileBytes = gguf.files.map(({ bytes }) => bytes);
    await readWeights(reader, ranges, fileBytes, backend, options);
  } catch (error) {
    free();
    throw error;
  } finally {
    await reader.close();
  }
  return { weights, bytes: placed.bytes, free };
}

/** The embedding stays with the host, which gives a pass its rows. */
function placeTable(backend: Backend, tensor: TensorInfo, alignment: number, placed: Placed): void {
  const label = 'token embedding';
  if (backend.device.hostIsDevice) {
    placeInHost(backend, label, [tensor], alignment, placed);
    return;
  }
  const memory = backend.allocateTable?.(tensor.bytes, label) ?? backend.allocateHost(tensor.bytes, label);
  placed.memories.push(memory);
  bind(tensor, memory, 0, placed);
  placed.ranges.push({ file: tensor.file, offset: tensor.offset, bytes: tensor.bytes, memory, at: 0 });
}

/**
 * Tensors that ops use in host memory, as far from each other as in the file, and at offsets that differ from the file's by a
 * multiple of the reader's alignment: a few long reads put all of a unit in its place.
 */
function placeInHost(
  backend: Backend,
  label: string,
  tensors: readonly TensorInfo[],
  alignment: number,
  placed: Placed,
): void {
  // A tied output head is the embedding.
  const missing = tensors.filter(({ name }) => !placed.weights.has(name));
  const runs: { file: number; offset: number; end: number; at: number; tensors: TensorInfo[] }[] = [];
  let bytes = 0;
  for (const tensor of [...missing].sort((a, b) => a.file - b.file || a.offset - b.offset)) {
    const { file, offset } = tensor;
    const last = runs.at(-1);
    const isClose = last?.file === file && offset - last.end <= WORTH_READING;
    if (last && isClose && (offset - last.offset + last.at) % MATRIX_ALIGNMENT === 0) {
      last.end = offset + tensor.bytes;
      last.tensors.push(tensor);
    } else {
      // A file of another alignment than GGUF's default: its bytes go to their place through the reader's buffer.
      const skew = offset % MATRIX_ALIGNMENT === 0 ? offset % alignment : 0;
      const at = Math.ceil(bytes / Math.max(alignment, ALIGNMENT)) * Math.max(alignment, ALIGNMENT) + skew;
      runs.push({ file, offset, end: offset + tensor.bytes, at, tensors: [tensor] });
    }
    const { at, offset: begin, end } = runs.at(-1)!;
    bytes = at + end - begin;
  }
  if (runs.length === 0) return;
  const memory = backend.allocateHost(bytes, label);
  placed.memories.push(memory);
  for (const { file, offset, end, at, tensors } of runs) {
    for (const tensor of tensors) bind(tensor, memory, at + tensor.offset - offset, placed);
    placed.ranges.push({ file, offset, bytes: end - offset, memory, at });
  }
}

/** Tensors that ops use on the device: in one memory, or in several where the device allows only smaller ones. */
function placeOnDevice(
  backend: Backend,
  label: string,
  tensors: readonly TensorInfo[],
  _alignment: number,
  placed: Placed,
): void {
  const { allocationBytes = Number.POSITIVE_INFINITY } = backend.device;
  let group: TensorInfo[] = [];
  let bytes = 0;
  const allocate = () => {
    if (group.length === 0) return;
    const memory = backend.allocateDevice(bytes, label);
    placed.memories.push(memory);
    let at = 0;
    for (const tensor of group) {
      bind(tensor, memory, at, placed);
      placed.ranges.push({ file: tensor.file, offset: tensor.offset, bytes: tensor.bytes, memory, at });
      at += padded(tensor.bytes);
    }
    group = [];
    bytes = 0;
  };
  for (const tensor of tensors) {
    if (bytes + padded(tensor.bytes) > allocationBytes) allocate();
    group.push(tensor);
    bytes += padded(tensor.bytes);
  }
  allocate();
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Where a tied output head's matrix has been bound already, as the host's embedding, that stays its table. */
function bind({ name, type, shape, bytes }: TensorInfo, memory: DeviceMemory, offset: number, placed: Placed): void {
  const range: DeviceRange = { memory, offset, bytes };
  const rows = shape.slice(1).reduce((product, size) => product * size, 1);
  const table = placed.weights.get(name)?.range;
  placed.weights.set(name, { type, rows, cols: shape[0], range, ...(table && { table }) });
  placed.bytes += bytes;
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
  const bytes = new Uint8Array(tensor.bytes);
  const view = (offset: number, length: number) => bytes.subarray(offset, offset + length);
  const memory: HostMemory = { bytes: tensor.bytes, label: tensor.name, view, free: () => {} };
  const reader = await openReader([gguf.files[tensor.file].path]);
  try {
    await reader.read({ file: 0, offset: tensor.offset, bytes: tensor.bytes, memory, at: 0 });
  } finally {
    await reader.close();
  }
  return new Float32Array(bytes.buffer);
}
