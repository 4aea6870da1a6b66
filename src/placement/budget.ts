// How much of each memory a model may take: what is free less a margin, or what the user says.
import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { posix } from 'node:path';
import { NtxError } from '../errors.js';

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

const MEBIBYTE = 2 ** 20;

/** What `--vram` or `--ram` says. */
export type BudgetWish = { readonly bytes: number } | { readonly share: number };

/** "12GiB", "12.5 GB", "80%", "0". Throws NtxError('bad-argument') that names the flag. */
export function parseBudget(flag: string, text: string): BudgetWish {
  const [, digits, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*|%)\s*$/i.exec(text) ?? [];
  const value = Number(digits);
  if (digits !== undefined && unit === '%' && value <= 100) return { share: value / 100 };
  const factor = UNITS[unit?.toUpperCase() ?? ''];
  if (digits !== undefined && factor !== undefined && value * factor <= Number.MAX_SAFE_INTEGER) {
    return { bytes: Math.floor(value * factor) };
  }
  if (digits !== undefined && unit === '' && value === 0) return { bytes: 0 };
  const expected = 'a number with a unit (12GiB, 500MB), a share of all of it (80%), or 0';
  throw new NtxError('bad-argument', `${flag}: expected ${expected}, got "${text}"`, 'give another value');
}

/** A memory of the machine. */
export interface MemoryFacts {
  /** For sentences: "VRAM", "RAM". */
  readonly name: 'VRAM' | 'RAM';
  readonly totalBytes: number;
  /** What nobody has now; null for a machine that is described, not looked at. */
  readonly freeBytes: number | null;
}

export interface MemoryBudget {
  readonly bytes: number;
  /** Where it comes from: "22.8 GiB free less a margin of 0.5 GiB". */
  readonly reason: 'free less a margin' | 'all less a margin' | 'as asked for';
  /** More than nobody has: loading may fail. */
  readonly exceedsFree: boolean;
}

/**
 * What stays unused unless the user says otherwise: other programs go on, and drivers take memory for themselves. A twentieth
 * of all, between 64 MiB (a container for one small model) and a limit: screens and browsers need the more on a GPU the
 * larger it is, up to about 512 MiB, and a system with much RAM is happy with 2 GiB.
 */
export function marginOf({ name, totalBytes }: MemoryFacts): number {
  const most = (name === 'VRAM' ? 512 : 2048) * MEBIBYTE;
  return Math.min(most, Math.max(64 * MEBIBYTE, Math.floor(totalBytes / 20)));
}

/** Throws NtxError('bad-argument') for more than there is. */
export function budgetOf(memory: MemoryFacts, wish: BudgetWish | undefined): MemoryBudget {
  const { name, totalBytes, freeBytes } = memory;
  if (wish === undefined) {
    const bytes = Math.max(0, (freeBytes ?? totalBytes) - marginOf(memory));
    return { bytes, reason: freeBytes === null ? 'all less a margin' : 'free less a margin', exceedsFree: false };
  }
  const bytes = 'bytes' in wish ? wish.bytes : Math.floor(wish.share * totalBytes);
  if (bytes > totalBytes) {
    const message = `--${name.toLowerCase()}: expected at most the ${totalBytes} bytes that there are, got ${bytes}`;
    throw new NtxError('bad-argument', message, 'ask for less, or leave it out: then what is free is taken');
  }
  return { bytes, reason: 'as asked for', exceedsFree: freeBytes !== null && bytes > freeBytes };
}

/**
 * RAM that this process may use: of the machine, and of every control group that it is in (versions 1 and 2). Page cache
 * counts as free where the kernel would give it up.
 * @param root where /proc and /sys are; for tests
 */
export function hostMemory(root = ''): MemoryFacts & { readonly freeBytes: number } {
  const info = textOf(`${root}/proc/meminfo`);
  const kibibytes = (name: string) => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(info ?? '');
    return found ? Number(found[1]) * 1024 : null;
  };
  let totalBytes = kibibytes('MemTotal') ?? totalmem();
  let freeBytes = kibibytes('MemAvailable') ?? freemem();
  for (const { limit, used } of controlGroups(root)) {
    totalBytes = Math.min(totalBytes, limit);
    freeBytes = Math.min(freeBytes, Math.max(0, limit - used));
  }
  return { name: 'RAM', totalBytes, freeBytes };
}

interface GroupLimit {
  readonly limit: number;
  readonly used: number;
}

/** Of each control group with a limit, from the process's own up to the root of what it sees. */
function controlGroups(root: string): GroupLimit[] {
  const limits: GroupLimit[] = [];
  for (const line of (textOf(`${root}/proc/self/cgroup`) ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    const version2 = controllers === '';
    if (!version2 && !controllers.split(',').includes('memory')) continue;
    const folder = `${root}/sys/fs/cgroup${version2 ? '' : '/memory'}`;
    // A container sees its own group as the root, under a path that only the machine outside knows.
    for (let group = path; ; group = posix.dirname(group)) {
      const limit = groupLimit(posix.join(folder, group), version2);
      if (limit) limits.push(limit);
      if (group === '/' || group === '.' || group === '') break;
    }
  }
  return limits;
}

function groupLimit(folder: string, version2: boolean): GroupLimit | null {
  const limit = numberIn(`${folder}/${version2 ? 'memory.max' : 'memory.limit_in_bytes'}`);
  if (limit === null) return null;
  const used = numberIn(`${folder}/${version2 ? 'memory.current' : 'memory.usage_in_bytes'}`) ?? 0;
  const cache = new RegExp(`^${version2 ? '' : 'total_'}inactive_file (\\d+)`, 'm');
  const reclaimable = Number(cache.exec(textOf(`${folder}/memory.stat`) ?? '')?.[1] ?? 0);
  return { limit, used: Math.max(0, used - reclaimable) };
}

/** null for "max", for what is not there, and for version 1's largest number, which means no limit. */
function numberIn(path: string): number | null {
  const text = textOf(path)?.trim();
  const value = text ? Number(text) : Number.NaN;
  return Number.isFinite(value) && value < 2 ** 60 ? value : null;
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
