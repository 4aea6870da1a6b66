// What keeps builds from repeating and from meeting: the hash of an addon's inputs beside the addon, and one lock.
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
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './environment.mjs';

const output = join(root, 'build/Release');
const lock = join(root, 'build/.lock');
const LOCK_POLL_MS = 200;

/** Files under a folder of the repository, as sorted paths relative to its root. */
export function filesUnder(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      return entry.isDirectory() ? filesUnder(path) : [path];
    })
    .sort();
}

/** SHA-256 of everything that goes into an addon: its sources, shared headers, the build itself and `extra`. */
export function inputsHash(name, addon, extra) {
  const hash = createHash('sha256').update(JSON.stringify([name, extra]));
  const shared = filesUnder('native').filter((file) => file.split('/').length === 2);
  const build = ['CMakeLists.txt', 'scripts/build-native.mjs', ...filesUnder('scripts/native')];
  for (const file of [...shared, ...filesUnder(addon.folder), ...build]) {
    hash.update(`\0${file}\0`);
    hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

export function isBuilt(name) {
  return existsSync(join(output, `${name}.node`));
}

export function isCurrent(name, hash) {
  try {
    return isBuilt(name) && readFileSync(join(output, `${name}.hash`), 'utf8') === hash;
  } catch {
    return false;
  }
}

/** Puts a built addon in its place by renaming: a process that has the old one loaded keeps it. */
export function publish(name, file, hash) {
  mkdirSync(output, { recursive: true });
  const target = join(output, `${name}.node`);
  const part = `${target}.${process.pid}`;
  copyFileSync(file, part);
  renameSync(part, target);
  writeFileSync(join(output, `${name}.hash`), hash);
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** The process that holds the lock, or null when there is none any more. */
function lockHolder() {
  try {
    return Number(readFileSync(lock, 'utf8'));
  } catch {
    return null;
  }
}

/** Runs `work` while no other process builds in this checkout. A lock whose holder has died is taken over. */
export async function withLock(work) {
  mkdirSync(join(root, 'build'), { recursive: true });
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, String(process.pid));
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
