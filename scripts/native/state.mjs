// What keeps builds from repeating and from meeting: the hash of an addon's inputs beside the addon, finished builds by that
// hash in the user's cache folder, which other checkouts take them from, and one lock.
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './environment.mjs';

const output = join(root, 'build/Release');
const lock = join(root, 'build/.lock');
const LOCK_POLL_MS = 200;
const kept = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ntx', 'builds');
/** Of one addon: a few checkouts, and both what is built for this machine and for all. */
const MOST_KEPT = 6;

/** Files under a folder of the repository, as sorted paths relative to its root. */
export function filesUnder(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      return entry.isDirectory() ? filesUnder(path) : [path];
    })
    .sort();
}

/** What says how addons are built; the other scripts say whether. */
const recipe = ['cmake', 'cuda', 'direct', 'environment', 'ptxas-log'].map((name) => `scripts/native/${name}.mjs`);

/** SHA-256 of everything that goes into an addon: its sources, shared headers, the way to build it and `tools`. */
export function inputsHash(name, addon, tools) {
  const shared = filesUnder('native').filter((file) => file.split('/').length === 2);
  const hash = createHash('sha256').update(JSON.stringify([name, tools]));
  for (const file of [...shared, ...filesUnder(addon.folder), 'CMakeLists.txt', ...recipe]) {
    hash.update(`\0${file}\0`);
    hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

/** The same whatever machine builds. */
export function sourcesHash(name, addon) {
  return inputsHash(name, addon, []);
}

/** Where an addon lies when it is built. */
export function built(name) {
  return join(output, `${name}.node`);
}

export function isBuilt(name) {
  return existsSync(built(name));
}

export function isCurrent(name, hash) {
  try {
    return isBuilt(name) && readFileSync(join(output, `${name}.hash`), 'utf8') === hash;
  } catch {
    return false;
  }
}

function copyAtOnce(from, to) {
  const part = `${to}.${process.pid}`;
  copyFileSync(from, part);
  renameSync(part, to);
}

/**
 * Puts a built addon in its place by renaming: a process that has the old one loaded keeps it. `log`: what ptxas said of its
 * kernels, null where it has none.
 */
export function publish(name, file, hash, log) {
  mkdirSync(output, { recursive: true });
  copyAtOnce(file, join(output, `${name}.node`));
  const logFile = join(output, `${name}.ptxas`);
  if (log === null) rmSync(logFile, { force: true });
  else writeFileSync(logFile, log);
  writeFileSync(join(output, `${name}.hash`), hash);
}

/** Keeps what has been published for other checkouts. Without a cache folder that can be written, nothing is kept. */
export function keep(name, hash) {
  try {
    mkdirSync(kept, { recursive: true });
    for (const kind of ['ptxas', 'node']) {
      const file = join(output, `${name}.${kind}`);
      if (existsSync(file)) copyAtOnce(file, join(kept, `${name}-${hash}.${kind}`));
    }
    const own = readdirSync(kept).filter((file) => file.startsWith(`${name}-`) && file.endsWith('.node'));
    const age = (file) => -statSync(join(kept, file)).mtimeMs;
    for (const old of own.sort((a, b) => age(a) - age(b)).slice(MOST_KEPT)) {
      for (const kind of ['ptxas', 'node']) rmSync(join(kept, old.replace(/node$/, kind)), { force: true });
    }
  } catch {
    // The next checkout builds again.
  }
}

/** Publishes what another checkout has built of the same inputs. False where there is nothing, or it cannot be read. */
export function takeKept(name, hash) {
  try {
    const file = join(kept, `${name}-${hash}.node`);
    if (!existsSync(file)) return false;
    const log = join(kept, `${name}-${hash}.ptxas`);
    publish(name, file, hash, existsSync(log) ? readFileSync(log, 'utf8') : null);
    return true;
  } catch {
    return false;
  }
}

/** When a process began, in the kernel's words; undefined where it does not say. */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')')).split(' ')[20];
  } catch {
    return undefined;
  }
}

/** The number alone does not say: in containers every start has the same ones. */
function isRunning({ pid, start }) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  return [start, undefined].includes(startOf(pid));
}

/** The process that holds the lock, or null when there is none any more. */
function lockHolder() {
  try {
    return JSON.parse(readFileSync(lock, 'utf8'));
  } catch (error) {
    return error.code === 'ENOENT' ? null : {};
  }
}

/** Runs `work` while no other process builds in this checkout. A lock whose holder has died is taken over. */
export async function withLock(work) {
  mkdirSync(join(root, 'build'), { recursive: true });
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, start: startOf(process.pid) }));
  try {
    for (;;) {
      try {
        linkSync(mine, lock); // fails when it exists; a lock is never seen without its holder's number
        break;
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const holder = lockHolder();
      if (holder !== null && !isRunning(holder)) rmSync(lock, { force: true });
      else await sleep(LOCK_POLL_MS);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}
