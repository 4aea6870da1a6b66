import { readdirSync, readFileSync } from 'node:fs';

/** Where Linux describes the caches of every processor. */
const PROCESSORS = '/sys/devices/system/cpu';
const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Bytes of all last-level caches together; 0 where the system does not say. */
export function lastLevelCacheBytes(processors = PROCESSORS): number {
  const caches = new Map<string, number>();
  try {
    for (const name of readdirSync(processors).filter((each) => /^cpu\d+$/.test(each))) {
      const folder = `${processors}/${name}/cache/index3`;
      const sharedBy = read(`${folder}/shared_cpu_list`);
      if (sharedBy !== null) caches.set(sharedBy, bytesOf(read(`${folder}/size`) ?? ''));
    }
  } catch {
    // Not Linux, or nothing is shown.
  }
  return [...caches.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

/** "107520K" */
function bytesOf(size: string): number {
  const [, count, unit] = /^(\d+)([KMG]?)$/.exec(size) ?? [];
  return count === undefined ? 0 : Number(count) * (UNITS[unit] ?? 1);
}
