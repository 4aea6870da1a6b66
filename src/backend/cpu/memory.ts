import { NtxError } from '../../errors.js';
import type { DeviceMemory, DeviceRange, HostMemory } from '../backend.js';
import type { HostAddon, NativeMemory } from './binding.js';

/** Page-aligned memory outside of the JS heap, on huge pages from 2 MiB on. */
export class CpuMemory implements HostMemory {
  #native: NativeMemory | null;

  /** Throws NtxError('no-memory'). */
  constructor(
    addon: HostAddon,
    readonly bytes: number,
    readonly label: string,
    private readonly onFree: (memory: CpuMemory) => void,
  ) {
    try {
      this.#native = new addon.Memory(bytes);
    } catch (error) {
      throw asNtxError(error, `allocating ${label}`);
    }
  }

  /** Throws NtxError('internal') once the memory has been freed. */
  get native(): NativeMemory {
    if (this.#native === null) throw new NtxError('internal', `${this.label} is used after free()`, 'report this');
    return this.#native;
  }

  view(offset: number, bytes: number): Uint8Array {
    return asNtx(`a view of ${this.label}`, () => this.native.view(offset, bytes));
  }

  free(): void {
    this.#native?.free();
    this.#native = null;
    this.onFree(this);
  }
}

export function ownMemory(memory: DeviceMemory): CpuMemory {
  if (memory instanceof CpuMemory) return memory;
  throw new NtxError('internal', `${memory.label} is memory of another backend`, 'report this');
}

/** The memory behind a range that the addon has yet to check. */
export function nativeOf(range: DeviceRange): NativeMemory {
  return ownMemory(range.memory).native;
}

/** Runs native code; whatever it throws becomes an NtxError. */
export function asNtx<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw asNtxError(error, what);
  }
}

function asNtxError(error: unknown, what: string): NtxError {
  if (error instanceof NtxError) return error;
  const { message, code } = error as Error & { code?: string };
  if (code === 'no-memory') {
    const advice = 'choose a smaller model or context, or close other programs';
    return new NtxError('no-memory', `${what}: ${message}`, advice, { cause: error });
  }
  return new NtxError('internal', `${what}: ${message}`, 'report this', { cause: error });
}
