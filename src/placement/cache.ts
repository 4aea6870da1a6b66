// Where measurements are kept: one JSON file for each machine, device and driver, with the disks that models lay on.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { NtxError } from '../errors.js';
import { MACHINE_FORMAT, type Machine } from './machine.js';
import { parseMachine } from './machine-json.js';

/** Rises when a field of a description comes to mean something else: what was measured before is measured anew. */
const MEANING = 3;

/** What a measurement holds for. */
export interface MachineKey {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly backend: string;
  readonly device: string;
  readonly driver: string | null;
}

/** The user's cache folder: XDG_CACHE_HOME, else the system's custom. */
function cacheFolder(env: NodeJS.ProcessEnv): string {
  if (env.XDG_CACHE_HOME) return env.XDG_CACHE_HOME;
  if (process.platform === 'win32' && env.LOCALAPPDATA) return env.LOCALAPPDATA;
  return join(homedir(), process.platform === 'darwin' ? 'Library/Caches' : '.cache');
}

export function cachePath(key: MachineKey, env: NodeJS.ProcessEnv = process.env): string {
  const { cpu, cores, memoryBytes, backend, device, driver } = key;
  const text = JSON.stringify([MACHINE_FORMAT, MEANING, cpu, cores, memoryBytes, backend, device, driver]);
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return join(cacheFolder(env), 'ntx', 'machines', `${backend}-${hash}.json`);
}

/** null where there is none, or one that cannot be read any more: then it is measured again. */
export async function readCached(path: string): Promise<Machine | null> {
  try {
    return parseMachine(await readFile(path, 'utf8'), path);
  } catch (error) {
    const isAbsent = error instanceof NtxError || (error as NodeJS.ErrnoException).syscall !== undefined;
    if (isAbsent) return null;
    throw error;
  }
}

/**
 * Replaces the file at once: two processes may measure at the same time.
 * @returns false where it cannot be written: measuring again next time is all that follows
 */
export async function writeCached(path: string, machine: Machine): Promise<boolean> {
  const part = `${path}.${process.pid}.part`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(part, `${JSON.stringify(machine, null, 1)}\n`);
    await rename(part, path);
    return true;
  } catch {
    await rm(part, { force: true }).catch(() => {});
    return false;
  }
}
