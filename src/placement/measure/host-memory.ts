// Reads of host memory by all cores: alone, and while the link copies out of it.
import type { Backend } from '../../backend/backend.js';
import { hostMemory } from '../budget.js';
import type { HostDescription } from '../machine.js';
import { lastLevelCacheBytes } from './caches.js';
import { copyUntil } from './link.js';
import type { Clock } from './timing.js';

/** Filled in a tenth to half of a second. */
const BYTES = { least: 256 * 2 ** 20, most: 2 ** 30 };
/** Of the caches: what is read in a circle is found there again in part, even if there is somewhat more of it. */
const CACHES = 6;
/** Of what is free: in a small control group the kernel would end the process. */
const PART_OF_FREE = 0.25;

/** What the cpu backend offers here. */
export interface HostReader {
  measureReadBandwidth(bytes: number): Promise<number>;
}

/** @param link the device whose link copies, and the threads that read meanwhile; null where the host is the device */
export async function measureHostMemory(
  cpu: HostReader,
  link: { readonly device: Backend; readonly cpu: HostReader } | null,
  now: Clock,
): Promise<Pick<HostDescription, 'readRate' | 'withLink'>> {
  const wanted = Math.min(BYTES.most, Math.max(BYTES.least, CACHES * lastLevelCacheBytes()));
  const bytes = Math.floor(Math.min(wanted, PART_OF_FREE * hostMemory().freeBytes));
  const readRate = await cpu.measureReadBandwidth(bytes);
  if (link === null) return { readRate, withLink: null };
  const reading = link.cpu.measureReadBandwidth(bytes);
  const linkRate = await copyUntil(link.device, reading, now);
  return { readRate, withLink: { readRate: Math.min(readRate, await reading), linkRate } };
}
