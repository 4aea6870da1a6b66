import { NtxError } from '../../errors.js';
import type { DeviceMemory, DeviceRange, HostMemory } from '../backend.js';
import type { HostAddon, NativeMemory } from './binding.js';

/** Bytes of the largest view that V8 gives (Node 20). */
const MAX_VIEW_BYTES = 2 ** 32 - 1;

/** Page-aligned memory outside of the JS heap, on huge pages from 2 MiB on. */
export class CpuMemory implements HostMemory {
  #native: NativeMemory | null;
  /** All of it. V8 takes every external buffer for future garbage and collects: one for all views, not one each. */
  #whole: Uint8Array | null = null;

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
    return asNtx(`a view of ${this.label}`, () => {
      if (this.bytes > MAX_VIEW_BYTES) return this.native.view(offset, bytes);
      this.#whole ??= this.native.view(0, this.bytes);
      checkPart(offset, bytes, this.bytes);
      return this.#whole.subarray(offset, offset + bytes);
    });
  }

  free(): void {
    this.#native?.free();
    this.#native = null;
    this.#whole = null;
    this.onFree(this);
  }
}

function checkPart(offset: number, bytes: number, total: number): void {
  if (Number.isInteger(offset) && Number.isInteger(bytes) && offset >= 0 && bytes >= 0 && offset + bytes <= total)
    return;
  throw new NtxError('internal', `expected a part of ${total} bytes, got ${bytes} from ${offset} on`, 'report this');
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
