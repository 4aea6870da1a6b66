// Host memory: what all cores read alone, and what the CPU's products read while the link copies out of it.
import type { Backend } from '../../backend/backend.js';
import type { GgmlType } from '../../gguf/types.js';
import { hostMemory } from '../budget.js';
import type { HostDescription } from '../machine.js';
import { allocateWeights } from './bench-memory.js';
import { lastLevelCacheBytes } from './caches.js';
import { copyDuring } from './link.js';
import { productSizes, SteadyProducts } from './products.js';
import type { Clock } from './timing.js';

/** Filled in a tenth to half of a second. */
const BYTES = { least: 256 * 2 ** 20, most: 2 ** 30 };
/** Of the caches: what is read in a circle is found there again in part, even if there is somewhat more of it. */
const CACHES = 6;
/** Of what is free: in a small control group the kernel would end the process. */
const PART_OF_FREE = 0.25;
/** Of products beside copies: dozens of passes over the weights. A software GPU copies with the cores that compute. */
const SECONDS = { beside: 0.3, besideSoftware: 0.1 };

/** What the cpu backend offers here. */
export interface HostReader {
  measureReadBandwidth(bytes: number): Promise<number>;
}

/** What computes out of host memory while a device's link copies. */
export interface BesideLink {
  readonly device: Backend;
  /** With the threads that compute when a model runs. */
  readonly cpu: Backend;
  /** Of the weights. */
  readonly type: GgmlType;
  /** What products of one row of this type were seen to reach alone with these threads; null: nobody looked. */
  readonly alone: number | null;
}

/** @param link null where the host is the device */
export async function measureHostMemory(
  cpu: HostReader,
  link: BesideLink | null,
  now: Clock,
): Promise<Pick<HostDescription, 'readRate' | 'withLink'>> {
  const readRate = await measureReads(cpu);
  return { readRate, withLink: link && (await productsBesideLink(link, readRate, now)) };
}

/** Plain reads by all threads: no kernel is faster. */
export function measureReads(cpu: HostReader): Promise<number> {
  const wanted = Math.min(BYTES.most, Math.max(BYTES.least, CACHES * lastLevelCacheBytes()));
  return cpu.measureReadBandwidth(Math.floor(Math.min(wanted, PART_OF_FREE * hostMemory().freeBytes)));
}

/**
 * Kernels ask memory for less at a time than plain reads do, and the link leaves them less than it leaves those. An average, as a
 * pass sees it, not the best moment.
 */
async function productsBesideLink(
  link: BesideLink,
  readRate: number,
  now: Clock,
): Promise<HostDescription['withLink']> {
  const { device, cpu, type, alone } = link;
  const sizes = productSizes(cpu.device);
  const weights = await allocateWeights(cpu, sizes.totalBytes);
  const products = new SteadyProducts(cpu, weights, type, sizes);
  try {
    await products.warmUp();
    const seconds = device.device.kind === 'software-gpu' ? SECONDS.besideSoftware : SECONDS.beside;
    const { rate, result } = await copyDuring(device, () => products.rateOver(seconds, now), now);
    // Nothing is faster beside the link than without it: that would be noise.
    return { type, readRate: Math.min(result, readRate, alone ?? Number.POSITIVE_INFINITY), linkRate: rate };
  } finally {
    products.dispose();
    weights.free();
  }
}
