import type { Backend, DeviceRange, PassSizes } from '../backend/backend.js';
import type { BufferSpec } from '../model/index.js';

export interface AllocatedBuffers {
  readonly ranges: ReadonlyMap<string, DeviceRange>;
  readonly bytes: number;
  free(): void;
}

/** Bytes of a buffer for passes of these sizes. */
export function bufferBytes(spec: BufferSpec, sizes: PassSizes): number {
  const items = {
    row: sizes.maxRows,
    output: sizes.maxOutputs,
    position: sizes.context,
    'slot-position': sizes.slots * sizes.context,
  };
  return spec.itemBytes * items[spec.per];
}

/** Device memory for activations, caches and tables, each by itself: WebGPU tracks by memory what a kernel reads and writes. */
export function allocateBuffers(backend: Backend, specs: readonly BufferSpec[], sizes: PassSizes): AllocatedBuffers {
  const ranges = new Map<string, DeviceRange>();
  const free = () => {
    for (const { memory } of ranges.values()) memory.free();
  };
  let total = 0;
  try {
    for (const spec of specs) {
      const bytes = bufferBytes(spec, sizes);
      ranges.set(spec.name, { memory: backend.allocateDevice(bytes, spec.name), offset: 0, bytes });
      total += bytes;
    }
  } catch (error) {
    free();
    throw error;
  }
  return { ranges, bytes: total, free };
}
