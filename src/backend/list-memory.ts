// What a backend takes for a recorded list by itself: scratch of kernels and step buffers. From ops and sizes alone, so that a plan
// can leave room for it before anything is allocated, on a machine that is described too.
import type { BoundWeight, DeviceInfo, ListMemory, PassSizes } from './backend.js';
import { cpuListMemory } from './cpu/list-memory.js';
import { cudaListMemory } from './cuda/list-memory.js';
import type { Op } from './ops.js';
import { webGpuListMemory } from './webgpu/list-memory.js';

/** A list before it is recorded. */
export interface ListShape {
  readonly ops: readonly Op[];
  /** By name, as in Bindings. */
  readonly weights: ReadonlyMap<string, Pick<BoundWeight, 'type' | 'rows' | 'cols'>>;
  readonly sizes: PassSizes;
}

const NONE: ListMemory = { device: 0, host: 0 };

/** A backend that is not among them takes nothing. */
const OF_BACKENDS: Partial<Record<DeviceInfo['backend'], (list: ListShape, threads: number) => ListMemory>> = {
  cpu: cpuListMemory,
  cuda: cudaListMemory,
  webgpu: webGpuListMemory,
};

/**
 * What a recording of the list takes, at most: `CommandList.memory` is not above it.
 * @param threads that compute, where the host does
 */
export function listMemory(backend: DeviceInfo['backend'], list: ListShape, threads: number): ListMemory {
  return OF_BACKENDS[backend]?.(list, threads) ?? NONE;
}
