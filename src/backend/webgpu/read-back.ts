import type { Health } from './health.js';
import { USAGE } from './memory.js';

const MAP_MODE_READ = 0x1;
/** Fits the candidates of 31 outputs; larger buffers are made as they are needed and kept as well. */
const SMALLEST = 64 << 10;

/** Whole words of a buffer. */
export interface WordRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** A copy to the host that has been encoded. */
export interface Answer {
  readonly range: WordRange;
  /** The bytes, when the commands with the copy have been submitted and run. Once. */
  fetch(): Promise<ArrayBuffer>;
  /** Instead of fetch(): nobody wants them. */
  drop(): void;
}

/** MAP_READ buffers for results on their way to the host. A few exist, for the largest read and for reads at a time. */
export class ReadBack {
  readonly #idle: GPUBuffer[] = [];

  constructor(
    private readonly device: GPUDevice,
    private readonly health: Health,
  ) {}

  encode(encoder: GPUCommandEncoder, range: WordRange): Answer {
    const { buffer, offset, bytes } = range;
    const staging = this.#take(bytes);
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
    const fetch = async () => {
      try {
        await staging.mapAsync(MAP_MODE_READ, 0, bytes);
        this.health.check();
        const copy = staging.getMappedRange(0, bytes).slice(0);
        staging.unmap();
        this.#idle.push(staging);
        return copy;
      } catch (error) {
        staging.destroy();
        throw this.health.explain(error, 'read');
      }
    };
    return { range, fetch, drop: () => this.#idle.push(staging) };
  }

  #take(bytes: number): GPUBuffer {
    const index = this.#idle.findIndex(({ size }) => size >= bytes);
    if (index >= 0) return this.#idle.splice(index, 1)[0];
    // Too small ones would never be used again.
    this.#idle.pop()?.destroy();
    let size = SMALLEST;
    while (size < bytes) size *= 2;
    const descriptor = { label: 'read back', size, usage: USAGE.MAP_READ | USAGE.COPY_DST };
    return this.health.guard('read back', () => this.device.createBuffer(descriptor)).value;
  }
}
