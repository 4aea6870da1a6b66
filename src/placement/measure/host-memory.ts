// Reads of host memory by all cores: alone, and while the link copies out of it.
import type { Backend } from '../../backend/backend.js';
import type { HostDescription } from '../machine.js';
import { copyUntil } from './link.js';
import type { Clock } from './timing.js';

/** Beyond the caches of large servers, and filled in a tenth of a second. */
const BYTES = 256 * 2 ** 20;

/** What the cpu backend offers here. */
export interface HostReader {
  measureReadBandwidth(bytes: number): Promise<number>;
}

/** @param device whose link copies meanwhile; null where the host is the device */
export async function measureHostMemory(
  cpu: HostReader,
  device: Backend | null,
  now: Clock,
): Promise<Pick<HostDescription, 'readRate' | 'withLink'>> {
  const readRate = await cpu.measureReadBandwidth(BYTES);
  if (device === null) return { readRate, withLink: null };
  const reading = cpu.measureReadBandwidth(BYTES);
  const linkRate = await copyUntil(device, reading, now);
  return { readRate, withLink: { readRate: Math.min(readRate, await reading), linkRate } };
}
