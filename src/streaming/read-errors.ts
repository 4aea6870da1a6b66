// The sentences of reads that fail, the same for every reader.
import { NtxError } from '../errors.js';

/** The system's words for what the drive or the file system did. */
export function readFailed(path: string, byte: number, reason: string, cause?: unknown): NtxError {
  const message = `${path}: reading at byte ${byte} failed: ${reason}`;
  return new NtxError('io', message, 'check the drive', cause === undefined ? {} : { cause });
}

export function fileEnded(path: string, byte: number): NtxError {
  return new NtxError(
    'io',
    `${path} ends at byte ${byte}; it was longer when it was opened`,
    'another program is writing the file: load it again when that has ended',
  );
}

export function fileChanged(path: string, byte: number): NtxError {
  return new NtxError(
    'io',
    `${path} was written to while it was being read (at byte ${byte})`,
    'another program is writing the file: load it again when that has ended',
  );
}

export function openFailed(reason: string, cause: unknown): NtxError {
  return new NtxError('io', reason, 'check that the file is there and may be read', { cause });
}

export function readCancelled(path: string): NtxError {
  return new NtxError('cancelled', `reading ${path} was cancelled`, 'run the command again');
}
