import type { Backend, DeviceMemory, DeviceRange, PassSizes } from '../backend/backend.js';
import type { BufferSpec } from '../model/index.js';

/** WebGPU's largest minimum for storage buffer offsets. */
const ALIGNMENT = 256;

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

/** Device memory for activations (one block: they are small) and for every cache and table by itself. */
export function allocateBuffers(backend: Backend, specs: readonly BufferSpec[], sizes: PassSizes): AllocatedBuffers {
  const ranges = new Map<string, DeviceRange>();
  const memories: DeviceMemory[] = [];
  const padded = (spec: BufferSpec) => Math.ceil(bufferBytes(spec, sizes) / ALIGNMENT) * ALIGNMENT;
  const allocate = (label: string, group: readonly BufferSpec[]) => {
    const memory = backend.allocateDevice(
      group.reduce((sum, spec) => sum + padded(spec), 0),
      label,
    );
    memories.push(memory);
    let offset = 0;
    for (const spec of group) {
      ranges.set(spec.name, { memory, offset, bytes: bufferBytes(spec, sizes) });
      offset += padded(spec);
    }
  };
  const isActivation = (spec: BufferSpec) => spec.per === 'row' || spec.per === 'output';
  const free = () => {
    for (const memory of memories) memory.free();
  };
  try {
    allocate('activations', specs.filter(isActivation));
    for (const spec of specs) if (!isActivation(spec)) allocate(spec.name, [spec]);
  } catch (error) {
    free();
    throw error;
  }
  return { ranges, bytes: memories.reduce((sum, memory) => sum + memory.bytes, 0), free };
}
