import type { Health } from './health.js';
import { USAGE } from './memory.js';

const MAP_MODE_READ = 0x1;
/** Fits the candidates of 31 outputs; larger buffers are made as they are needed and kept as well. */
const SMALLEST = 64 << 10;

/** MAP_READ buffers for results on their way to the host. A few exist, for the largest read and for reads at a time. */
export class ReadBack {
  readonly #idle: GPUBuffer[] = [];

  constructor(
    private readonly device: GPUDevice,
    private readonly health: Health,
  ) {}

  /** Encodes the copy of whole words. `fetch`, after the encoder was submitted, gives the bytes. */
  encode(encoder: GPUCommandEncoder, from: GPUBuffer, offset: number, bytes: number): () => Promise<ArrayBuffer> {
    const staging = this.#take(bytes);
    encoder.copyBufferToBuffer(from, offset, staging, 0, bytes);
    return async () => {
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
