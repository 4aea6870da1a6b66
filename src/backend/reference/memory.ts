import { NtxError } from '../../errors.js';
import type { Bindings, DeviceMemory, DeviceRange, HostMemory } from '../backend.js';
import type { Matrix } from './dequantize/dequantize.js';

/** An ArrayBuffer, which lies outside of the JS heap; or bytes that somebody else has as well. */
export class ReferenceMemory implements HostMemory {
  readonly bytes: number;
  #all: Uint8Array | null;

  constructor(
    source: number | Uint8Array,
    readonly label: string,
    private readonly onFree: (memory: ReferenceMemory) => void,
  ) {
    this.bytes = typeof source === 'number' ? source : source.byteLength;
    try {
      this.#all = typeof source === 'number' ? new Uint8Array(source) : source;
    } catch (error) {
      throw new NtxError(
        'no-memory',
        `${label}: expected ${this.bytes} bytes of memory, got none`,
        'choose a smaller model or context, or close other programs',
        { cause: error },
      );
    }
  }

  view(offset: number, bytes: number): Uint8Array {
    checkRange({ memory: this, offset, bytes });
    return this.all.subarray(offset, offset + bytes);
  }

  /** Throws NtxError('internal') once the memory has been freed. */
  get all(): Uint8Array {
    if (!this.#all) throw new NtxError('internal', `${this.label} is used after free()`, 'report this');
    return this.#all;
  }

  /** The collector returns the bytes when no view is left. */
  free(): void {
    this.#all = null;
    this.onFree(this);
  }
}

/** The memory of a range, which must lie inside of it. */
export function checkRange({ memory, offset, bytes }: DeviceRange): ReferenceMemory {
  if (!(offset >= 0 && bytes >= 0 && offset + bytes <= memory.bytes)) {
    throw new NtxError(
      'internal',
      `${memory.label} has ${memory.bytes} bytes; the range starts at ${offset} and has ${bytes}`,
      'report this',
    );
  }
  return ownMemory(memory);
}

function ownMemory(memory: DeviceMemory): ReferenceMemory {
  if (memory instanceof ReferenceMemory) return memory;
  throw new NtxError('internal', `${memory.label} is memory of another backend`, 'report this');
}

export function bytesOf({ memory, offset, bytes }: DeviceRange): Uint8Array {
  return ownMemory(memory).all.subarray(offset, offset + bytes);
}

/** What the names in ops stand for, as arrays over the bound memory. Ranges and shapes have been checked by record(). */
export class Views {
  constructor(private readonly bindings: Bindings) {}

  get context(): number {
    return this.bindings.sizes.context;
  }

  /** An activation, a table or results: f32. */
  floats(name: string): Float32Array {
    const { buffer, byteOffset, byteLength } = bytesOf(this.bindings.buffers.get(name)!);
    return new Float32Array(buffer, byteOffset, byteLength >> 2);
  }

  /** A KV cache: f16 codes. */
  halves(name: string): Uint16Array {
    const { buffer, byteOffset, byteLength } = bytesOf(this.bindings.buffers.get(name)!);
    return new Uint16Array(buffer, byteOffset, byteLength >> 1);
  }

  matrix(name: string): Matrix {
    const { type, rows, cols, range } = this.bindings.weights.get(name)!;
    return { type, rows, cols, bytes: bytesOf(range) };
  }

  /** A matrix where embed finds its rows. */
  table(name: string): Matrix {
    const { table, ...weight } = this.bindings.weights.get(name)!;
    return { ...weight, bytes: bytesOf(table ?? weight.range) };
  }

  /** A norm or a bias: f32. */
  vector(name: string): Float32Array {
    const { cols, range } = this.bindings.weights.get(name)!;
    const { buffer, byteOffset } = bytesOf(range);
    return new Float32Array(buffer, byteOffset, cols);
  }
}
