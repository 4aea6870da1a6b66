// Where the tensors of a unit lie: packed in device memory, slots and pinned memory; as in the file in staging buffers.
import type { BoundWeight, DeviceRange } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { TensorInfo } from '../gguf/types.js';
import type { Model } from '../model/index.js';
import type { Extent } from '../placement/plan.js';

/** WebGPU's largest minimum for offsets of bindings; more than a cache line, which no two tensors should share. */
const ALIGNMENT = 256;
/** Of matrices where the host is the device (DeviceInfo.offsetAlignment). */
const MATRIX_ALIGNMENT = 32;
/** Bytes between two tensors of a file that are read with them, padding above all: less than a request to a drive costs. */
const WORTH_READING = 4096;

export interface PlacedTensor {
  readonly tensor: TensorInfo;
  /** Bytes from the beginning of the memory. */
  readonly at: number;
}

/** Tensors one behind the other, each where every device can bind it, and the bytes that they take. */
export function pack(tensors: readonly TensorInfo[]): {
  readonly placed: readonly PlacedTensor[];
  readonly bytes: number;
} {
  let at = 0;
  const placed = tensors.map((tensor) => {
    const here = { tensor, at };
    at += paddedBytes(tensor);
    return here;
  });
  return { placed, bytes: at };
}

/** Bytes that a tensor takes where it is packed with others. */
export function paddedBytes({ bytes }: TensorInfo): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/**
 * Tensors as far from each other as in the file, and at offsets that differ from the file's by a multiple of the reader's
 * alignment: a few long reads (the extents) put all of them in their place. For memory that the host computes on.
 */
export function asInFile(
  tensors: readonly TensorInfo[],
  alignment: number,
): { readonly placed: readonly PlacedTensor[]; readonly extents: readonly Extent[]; readonly bytes: number } {
  const extents: { file: number; offset: number; bytes: number; at: number }[] = [];
  const step = Math.max(alignment, ALIGNMENT);
  let end = 0;
  const placed = tensors
    .toSorted((a, b) => a.file - b.file || a.offset - b.offset)
    .map((tensor) => {
      const { file, offset, bytes } = tensor;
      let run = extents.at(-1);
      const gap = run?.file === file ? offset - run.offset - run.bytes : Number.POSITIVE_INFINITY;
      if (!run || gap > WORTH_READING || (offset - run.offset + run.at) % MATRIX_ALIGNMENT !== 0) {
        // A file of another alignment than GGUF's default: its bytes go to their place through the reader's buffer.
        const skew = offset % MATRIX_ALIGNMENT === 0 ? offset % alignment : 0;
        run = { file, offset, bytes: 0, at: Math.ceil(end / step) * step + skew };
        extents.push(run);
      }
      run.bytes = offset + bytes - run.offset;
      end = run.at + run.bytes;
      return { tensor, at: run.at + offset - run.offset };
    });
  return { placed, extents, bytes: end };
}

/** Where tensors lie in a staging buffer that is filled by these extents. Throws NtxError('internal') for bytes that are not read. */
export function locate(tensors: readonly TensorInfo[], extents: readonly Extent[]): PlacedTensor[] {
  return tensors.map((tensor) => {
    // The end of one tensor's last block may be the beginning of another, which is read again with its own.
    const begins = extents.filter((extent) => covers(extent, tensor.file, tensor.offset));
    const places = begins.map(({ at, offset }) => at + tensor.offset - offset);
    const at = places.find((place) => isRead(tensor, place, extents));
    if (at !== undefined) return { tensor, at };
    throw new NtxError('internal', `the plan does not read all of ${tensor.name} into one place`, 'report this');
  });
}

/** Every byte of the tensor comes to its place behind `at`. */
function isRead({ file, offset, bytes }: TensorInfo, at: number, extents: readonly Extent[]): boolean {
  for (let done = 0; done < bytes; ) {
    const extent = extents.find((each) => covers(each, file, offset + done) && each.at - each.offset === at - offset);
    if (!extent) return false;
    done = extent.offset + extent.bytes - offset;
  }
  return true;
}

function covers(extent: Extent, file: number, offset: number): boolean {
  return extent.file === file && extent.offset <= offset && offset < extent.offset + extent.bytes;
}

/** A tensor as ops see it. */
function matrixOf({ type, shape }: TensorInfo): Pick<BoundWeight, 'type' | 'rows' | 'cols'> {
  return { type, rows: shape.slice(1).reduce((product, size) => product * size, 1), cols: shape[0] };
}

/** All tensors of a model as ops see them, by name. */
export function matricesOf({ embedding, small, units }: Pick<Model, 'embedding' | 'small' | 'units'>) {
  const tensors = [embedding, ...small, ...units.flatMap((unit) => unit.tensors)];
  return new Map(tensors.map((tensor) => [tensor.name, matrixOf(tensor)]));
}

/** A tensor as ops use it. */
export function bind(tensor: TensorInfo, range: DeviceRange): BoundWeight {
  return { ...matrixOf(tensor), range };
}
