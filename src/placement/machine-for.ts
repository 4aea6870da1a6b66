// The machine that this process runs on: out of the cache, and measured as far as the cache does not know it.
import { cpus, release } from 'node:os';
import type { Backend } from '../backend/backend.js';
import type { GgmlType } from '../gguf/types.js';
import { hostMemory } from './budget.js';
import { cachePath, readCached, writeCached } from './cache.js';
import { correct, deviation, type MeasuredRun } from './correct.js';
import type { DiskDescription, Machine } from './machine.js';
import { type DiskFiles, groupByDisk } from './measure/disk.js';
import { type MeasureOptions, measureDisks, measureMachine } from './measure/measure.js';
import { findNvidiaDriver } from './system.js';

export interface MachineOptions
  extends Pick<MeasureOptions, 'backend' | 'files' | 'allTypes' | 'onProgress' | 'signal'> {
  /** Types that rates are needed of, those with most bytes first. */
  readonly types?: readonly GgmlType[] | undefined;
  /** Measure everything, whatever the cache knows. */
  readonly refresh?: boolean | undefined;
  /** Where XDG_CACHE_HOME is looked up; for tests. */
  readonly env?: NodeJS.ProcessEnv | undefined;
}

export interface KnownMachine {
  readonly machine: Machine;
  /** Index into machine.disks for each of the files. */
  readonly disks: readonly number[];
  /** Where it is kept; null where it could not be written. */
  readonly path: string | null;
}

/** Measures for at most ten seconds where the cache does not know the device, a type or a disk. */
export async function machineFor(options: MachineOptions): Promise<KnownMachine> {
  const { backend, files = [], types = [], refresh = false, env = process.env } = options;
  const path = cachePath(keyOf(backend), env);
  const cached = refresh ? null : await readCached(path);
  const groups = await groupByDisk(files);
  const fresh = cached && types.slice(0, 1).every((type) => type in cached.device.products) ? cached : null;
  let machine = fresh ?? (await measureMachine({ ...options, ...wanted(options, await readCached(path)) }));
  if (fresh) {
    const unknown = groups.filter((group) => diskIndex(fresh, group) < 0);
    if (unknown.length > 0) {
      options.onProgress?.('disks', 0, 1);
      const disks = await measureDisks(unknown.flatMap(({ paths }) => paths));
      machine = { ...fresh, disks: [...fresh.disks, ...disks] };
    }
  }
  const written = machine === fresh || (await writeCached(path, machine));
  const diskOf = new Map(groups.flatMap((group) => group.paths.map((file) => [file, diskIndex(machine, group)])));
  return { machine, disks: files.map((file) => Math.max(0, diskOf.get(file) ?? 0)), path: written ? path : null };
}

/**
 * Corrects what is kept by what a run measured of itself.
 * @returns a sentence for a run that was a fifth off its prediction, else null
 */
export async function learn({ machine, path }: KnownMachine, run: MeasuredRun): Promise<string | null> {
  const corrected = correct(machine, run);
  if (path !== null && corrected !== machine) await writeCached(path, corrected);
  return deviation(run);
}

function keyOf({ device }: Backend) {
  const { backend, name, hostIsDevice } = device;
  const driver = hostIsDevice ? null : (findNvidiaDriver() ?? release());
  const cpu = cpus()[0]?.model.trim() ?? '';
  return { cpu, cores: cpus().length, memoryBytes: hostMemory().totalBytes, backend, device: name, driver };
}

/** What was known before stays known: its types are measured again. */
function wanted({ types = [], files = [] }: MachineOptions, before: Machine | null) {
  const known = Object.keys(before?.device.products ?? {}) as GgmlType[];
  return { types: [...new Set([...types, ...known])], files };
}

function diskIndex({ disks }: Machine, { mount, disk }: DiskFiles): number {
  return disks.findIndex((known: DiskDescription) => known.mount === mount && known.device === disk.device);
}
