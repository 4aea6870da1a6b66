import { NtxError } from '../../errors.js';
import type { DeviceMemory, DeviceRange, HostMemory } from '../backend.js';
import type { CudaAddon, NativeEngine, NativeMemory } from './binding.js';
import { asNtx, asNtxError } from './errors.js';

/** Bytes of the largest view that V8 gives (Node 20). */
const MAX_VIEW_BYTES = 2 ** 32 - 1;

/** What memories need of their backend. */
export interface Owner {
  readonly addon: CudaAddon;
  readonly engine: NativeEngine;
  release(memory: CudaMemory): void;
}

/** Memory of the device. */
export class CudaMemory implements DeviceMemory {
  #native: NativeMemory | null;
  readonly bytes: number;

  /** `source`: bytes, or pages to pin. Throws NtxError('no-memory'). */
  constructor(
    private readonly owner: Owner,
    source: number | Uint8Array,
    readonly label: string,
    pinned = false,
    combined = false,
  ) {
    this.bytes = typeof source === 'number' ? source : source.byteLength;
    try {
      this.#native = new owner.addon.Memory(owner.engine, source, pinned, combined);
    } catch (error) {
      throw asNtxError(error, `allocating ${label}`);
    }
  }

  /** Throws NtxError('internal') once the memory has been freed. */
  get native(): NativeMemory {
    if (this.#native === null) throw new NtxError('internal', `${this.label} is used after free()`, 'report this');
    return this.#native;
  }

  free(): void {
    this.#native?.free();
    this.#native = null;
    this.owner.release(this);
  }
}

/** Pinned memory: the device copies from it at full link speed, and `embed` reads it where it is. */
export class CudaHostMemory extends CudaMemory implements HostMemory {
  /** All of it. V8 takes every external buffer for future garbage and collects: one for all views, not one each. */
  #whole: Uint8Array | null = null;

  constructor(owner: Owner, source: number | Uint8Array, label: string, combined = false) {
    super(owner, source, label, true, combined);
  }

  view(offset: number, bytes: number): Uint8Array {
    checkRange({ memory: this, offset, bytes });
    return asNtx(`a view of ${this.label}`, () => {
      if (this.bytes > MAX_VIEW_BYTES) return this.native.view(offset, bytes);
      this.#whole ??= this.native.view(0, this.bytes);
      return this.#whole.subarray(offset, offset + bytes);
    });
  }

  override free(): void {
    this.#whole = null;
    super.free();
  }
}

/** The memory behind a range. Throws NtxError('internal') for memory of another backend. */
export function nativeOf({ memory }: DeviceRange): NativeMemory {
  return ownMemory(memory).native;
}

export function ownMemory(memory: DeviceMemory): CudaMemory {
  if (memory instanceof CudaMemory) return memory;
  throw new NtxError('internal', `${memory.label} is memory of another backend`, 'report this');
}

/** Throws NtxError('internal') for a range outside of its memory. */
export function checkRange({ memory, offset, bytes }: DeviceRange): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(bytes);
  if (whole && offset >= 0 && bytes >= 0 && offset + bytes <= memory.bytes) return;
  throw new NtxError(
    'internal',
    `${memory.label} has ${memory.bytes} bytes; the range starts at ${offset} and has ${bytes}`,
    'report this',
  );
}
