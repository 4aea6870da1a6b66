import { NtxError } from '../../errors.js';
import type { DeviceMemory, DeviceRange, HostMemory } from '../backend.js';
import type { Health } from './health.js';

/** GPUBufferUsage (WebGPU specification, section 5.1.2); its globals do not exist in Node. */
export const USAGE = {
  MAP_READ: 0x1,
  MAP_WRITE: 0x2,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  QUERY_RESOLVE: 0x200,
} as const;

const MAP_MODE_WRITE = 0x2;

/** Bindings, copies and mappings come in whole words; kernels may read vectors of four. */
const PADDING = 16;
/**
 * Behind whatever kernels read: nothing clamps their indices, and they load some bytes that they do not use, a word behind a
 * block that starts at one, up to 15 weights behind a row of floats.
 */
const BEYOND = 64;
/** Kernels count bytes of a binding in 32 bits. */
export const ADDRESSABLE = 2 ** 32 - 2 ** 16;
/** Tensors are placed in multiples of this (src/streaming/layout.ts). */
const PLACED = 256;

/** Bytes of the largest memory that a device can have. */
export function allocationBytes({ maxBufferSize }: GPUSupportedLimits): number {
  return Math.floor((maxBufferSize - BEYOND) / PADDING) * PADDING;
}

/** Bytes of the largest table that `embed` finds rows in: one memory, one binding, and places in it that 32 bits count. */
export function tableBytes(limits: GPUSupportedLimits): number {
  const most = Math.min(limits.maxStorageBufferBindingSize, ADDRESSABLE, allocationBytes(limits));
  return Math.floor(most / PLACED) * PLACED;
}

/** What memories need of the backend that they belong to. */
export interface Owner {
  readonly device: GPUDevice;
  readonly health: Health;
  /** Called by memory that is freed; destroys its buffer when the queue has all commands that were given before. */
  release(memory: DeviceMemory, buffer: GPUBuffer | null): void;
  /** Hands to the queue what was recorded and what waits for its kernels: it takes no commands on a mapped buffer. */
  drain(): Promise<void>;
}

/** A GPUBuffer. Running out of memory shows later than the call: the next fence, copy or submit throws it. */
export class GpuMemory implements DeviceMemory {
  readonly buffer: GPUBuffer;

  constructor(
    private readonly owner: Owner,
    readonly bytes: number,
    readonly label: string,
    usage: number = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST,
  ) {
    this.buffer = createBuffer(owner, { label, size: bytes, usage });
  }

  free(): void {
    this.owner.release(this, this.buffer);
  }
}

/** A MAP_WRITE | COPY_SRC buffer: the pinned tier. Filled while it is mapped, copied while it is not. */
export class GpuHostMemory implements HostMemory {
  readonly buffer: GPUBuffer;
  #mapped: ArrayBuffer | null;

  constructor(
    private readonly owner: Owner,
    readonly bytes: number,
    readonly label: string,
  ) {
    const usage = USAGE.MAP_WRITE | USAGE.COPY_SRC;
    this.buffer = createBuffer(owner, { label, size: bytes, usage, mappedAtCreation: true });
    this.#mapped = this.buffer.getMappedRange();
  }

  view(offset: number, bytes: number): Uint8Array {
    checkRange({ memory: this, offset, bytes });
    if (!this.#mapped) {
      throw new NtxError('internal', `${this.label}: view() after a copy, before map()`, 'report this');
    }
    // A device that is lost takes its mappings along.
    if (this.#mapped.byteLength < this.bytes) this.owner.health.check();
    return new Uint8Array(this.#mapped, offset, bytes);
  }

  async map(): Promise<void> {
    if (this.#mapped) return;
    await this.owner.drain();
    this.owner.health.check();
    try {
      await this.buffer.mapAsync(MAP_MODE_WRITE);
    } catch (error) {
      throw this.owner.health.explain(error, this.label);
    }
    this.#mapped = this.buffer.getMappedRange();
  }

  /** What copies need: the bytes become the device's, and views of them have a length of 0. */
  unmap(): void {
    if (!this.#mapped) return;
    this.#mapped = null;
    this.buffer.unmap();
  }

  free(): void {
    this.#mapped = null;
    this.owner.release(this, this.buffer);
  }
}

/** An ArrayBuffer, which lies outside of the JS heap: the embedding, whose rows are gathered on the host. */
export class TableMemory implements HostMemory {
  #bytes: Uint8Array | null;

  constructor(
    private readonly owner: Pick<Owner, 'release'>,
    readonly bytes: number,
    readonly label: string,
  ) {
    try {
      this.#bytes = new Uint8Array(new ArrayBuffer(bytes));
    } catch (error) {
      throw new NtxError(
        'no-memory',
        `${label}: expected ${bytes} bytes of memory, got none`,
        'choose a smaller model or close other programs',
        { cause: error },
      );
    }
  }

  view(offset: number, bytes: number): Uint8Array {
    checkRange({ memory: this, offset, bytes });
    if (!this.#bytes) throw new NtxError('internal', `${this.label} is used after free()`, 'report this');
    return this.#bytes.subarray(offset, offset + bytes);
  }

  free(): void {
    this.#bytes = null;
    this.owner.release(this, null);
  }
}

function createBuffer({ device, health }: Owner, descriptor: GPUBufferDescriptor): GPUBuffer {
  health.check();
  const { size, label = '', usage } = descriptor;
  const limit = allocationBytes(device.limits);
  const whole = Math.max(PADDING, Math.ceil(size / PADDING) * PADDING);
  const padded = whole + (usage & USAGE.STORAGE ? BEYOND : 0);
  if (!(size >= 0 && size <= limit)) {
    throw new NtxError(
      'no-memory',
      `${label}: expected a buffer of ${size} bytes; the device's have at most ${limit}`,
      'choose a smaller model or context, another --adapter, or --backend cpu',
    );
  }
  try {
    return health.guard(label, () => device.createBuffer({ ...descriptor, size: padded })).value;
  } catch (error) {
    // Only mapping at creation throws at once (a RangeError): the host's memory is what is lacking then.
    throw new NtxError(
      'no-memory',
      `${label}: expected ${size} bytes of host memory that the device can copy from, got none`,
      'choose a smaller model or close other programs',
      { cause: error },
    );
  }
}

/** Throws NtxError('internal') for a range outside of its memory. */
export function checkRange({ memory, offset, bytes }: DeviceRange): void {
  if (offset >= 0 && bytes >= 0 && offset + bytes <= memory.bytes) return;
  throw new NtxError(
    'internal',
    `${memory.label} has ${memory.bytes} bytes; the range starts at ${offset} and has ${bytes}`,
    'report this',
  );
}

/** Bytes to copy so that they are whole words: only the end of a memory, which is padded, may be rounded up to. */
export function wholeWords({ memory, offset, bytes }: DeviceRange): number {
  const whole = Math.ceil(bytes / 4) * 4;
  if (offset % 4 === 0 && (whole === bytes || offset + bytes === memory.bytes)) return whole;
  throw new NtxError(
    'internal',
    `${memory.label}: WebGPU copies multiples of 4 bytes; the range starts at ${offset} and has ${bytes}`,
    'report this',
  );
}
