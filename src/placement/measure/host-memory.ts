// Reads of host memory by all cores: alone, and while the link copies out of it.
import type { Backend } from '../../backend/backend.js';
import { hostMemory } from '../budget.js';
import type { HostDescription } from '../machine.js';
import { copyUntil } from './link.js';
import type { Clock } from './timing.js';

/** Beyond the caches of large servers, and filled in a tenth of a second. */
const BYTES = 256 * 2 ** 20;
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
  const bytes = Math.floor(Math.min(BYTES, PART_OF_FREE * hostMemory().freeBytes));
  const readRate = await cpu.measureReadBandwidth(bytes);
  if (link === null) return { readRate, withLink: null };
  const reading = link.cpu.measureReadBandwidth(bytes);
  const linkRate = await copyUntil(link.device, reading, now);
  return { readRate, withLink: { readRate: Math.min(readRate, await reading), linkRate } };
}
