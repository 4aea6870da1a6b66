// What the processor would come to without the device: beside a small or slow one it may be faster.
import { NtxError } from '../errors.js';
import type { GgufModel } from '../gguf/types.js';
import type { Model } from '../model/index.js';
import type { Machine } from './machine.js';
import { type PlacementOptions, planFor } from './plan-for.js';

/** The prediction leaves out what it costs the processor to begin an op or a pass: it has to be as much faster as this. */
export const CLEARLY_FASTER = 0.9;

/** The machine as the cpu backend has it; null where it has none, or is that one already. */
function withoutDevice(machine: Machine): Machine | null {
  const { device, host } = machine;
  const rates = host.products.at(-1);
  if (device.hostIsDevice || rates === undefined) return null;
  return {
    ...machine,
    link: null,
    device: {
      ...{
        backend: 'cpu',
        name: host.cpu,
        driver: null,
        kind: 'cpu',
        memoryBytes: host.memoryBytes,
        hostIsDevice: true,
      },
      ...{ copiesOverlapKernels: false, sharesPages: false, readRate: host.readRate, products: rates.products },
      // Not known from beside another device, and little for a model whose bytes matter.
      ...{ launchSeconds: 0, passSeconds: 0 },
    },
  };
}

/**
 * Predicted seconds of a pass of each class by the cpu backend, with all cores and the same RAM; null where there is none or the
 * model does not fit.
 */
export function cpuAloneSeconds(
  gguf: GgufModel,
  model: Model,
  machine: Machine,
  { sizes, memories, ram, rows, disks }: PlacementOptions,
): readonly number[] | null {
  const alone = withoutDevice(machine);
  if (alone === null) return null;
  try {
    const options = { sizes, memories: { ...memories, device: null }, ram, rows, disks };
    return planFor(gguf, model, alone, options).answer.plan.schedules.map(({ prediction }) => prediction.seconds);
  } catch (error) {
    if (error instanceof NtxError && error.code === 'no-memory') return null;
    throw error;
  }
}
