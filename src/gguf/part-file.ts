import { type FileHandle, lstat, open, rename, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { NtxError } from '../errors.js';

/**
 * Writes a file of a known size so that it appears whole or not at all: into `path.part`, renamed at the end, removed on
 * any failure. The file is given its size first, so parts that `write` skips are zeros.
 * @param force replace a file that exists, or the rest of a broken run
 * @throws NtxError `io` for whatever the system refuses; errors of `write` that are not the system's pass through
 */
export async function writeWhole(
  path: string,
  bytes: number,
  force: boolean,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const part = `${path}.part`;
  await checkTarget(path, force);
  try {
    const file = await open(part, force ? 'w' : 'wx').catch((error) => Promise.reject(partExists(part, error)));
    try {
      await checkSpace(path, bytes);
      await file.truncate(bytes);
      await write(file);
      await file.close();
      await rename(part, path);
    } catch (error) {
      await file.close().catch(() => {});
      await rm(part, { force: true });
      throw error;
    }
  } catch (error) {
    throw cannotWrite(path, bytes, error);
  }
}

async function checkTarget(path: string, force: boolean): Promise<void> {
  const there = await lstat(path).catch(() => null);
  if (!there) return;
  if (!there.isFile()) {
    throw new NtxError(
      'io',
      `'${path}' exists and is not a regular file; ntx does not replace it.`,
      'Give the name of a file to create.',
    );
  }
  if (!force) {
    throw new NtxError('io', `'${path}' exists already.`, 'Give another name, or --force to replace it.');
  }
}

async function checkSpace(path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path));
  if (bytes > bavail * bsize) throw notEnoughSpace(path, bytes, bavail * bsize);
}

function notEnoughSpace(path: string, bytes: number, free: number): NtxError {
  return new NtxError(
    'io',
    `'${path}' needs ${gib(bytes)} GiB, but its disk has ${gib(free)} GiB free.`,
    'Free some space or choose another disk.',
  );
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 3 : 1);
}

function partExists(part: string, error: NodeJS.ErrnoException): Error {
  if (error.code !== 'EEXIST') return error;
  return new NtxError(
    'io',
    `'${part}' exists: ntx is writing this file now, or was stopped while it did.`,
    'Wait for the other run, or give --force to begin anew.',
    { cause: error },
  );
}

function cannotWrite(path: string, bytes: number, error: unknown): unknown {
  if (error instanceof NtxError || !(error instanceof Error) || !('syscall' in error)) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const say = (what: string, advice: string) => new NtxError('io', what, advice, { cause: error });
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return say(
        `The disk became full while '${path}' (${gib(bytes)} GiB) was written; what was written is removed.`,
        'Free some space or choose another disk.',
      );
    case 'ENOENT':
    case 'ENOTDIR':
      return say(`The folder of '${path}' does not exist.`, 'Create it first, or choose another.');
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return say(`'${path}' may not be written by this user.`, 'Choose a folder that you may write to.');
    case 'EFBIG':
      return say(
        `'${path}' would be ${gib(bytes)} GiB, more than its file system (or ulimit -f) allows.`,
        'Write it in shards, or choose another disk.',
      );
    default:
      return say(`'${path}' cannot be written: ${message}.`, 'Check the disk and the path.');
  }
}
