// The file reader for a model's files on this machine.
import type { HostAddon, ReaderSettings } from '../backend/cpu/binding.js';
import { loadHostAddon } from '../backend/cpu/binding.js';
import { NtxError } from '../errors.js';
import { attachedModel } from '../nvme/attach.js';
import { chooseMethod } from './choose-method.js';
import type { FileReader } from './file-reader.js';
import { HostReader } from './host-reader.js';
import { openNodeReader } from './node-reader.js';
import { NvmeReader } from './nvme-reader.js';

/** Measuring takes a tenth of a second: for less than this, any way is fast enough. */
const WORTH_MEASURING_BYTES = 2 ** 32;
const MAX_DEPTH = 1024;
const PAGE = 4096;
const MAX_REQUEST_BYTES = 2 ** 30;

/**
 * Keeps fast drives busy. Twice as many bytes in flight read a few percent faster where nothing is computed, and end a unit's
 * read later, with that of the next: a drive then rests while the unit is computed.
 */
export const USUAL_READS: ReadSize = { depth: 16, maxBytes: 2 ** 19 };

export interface ReadSize {
  /** Requests that each drive has at a time. */
  readonly depth: number;
  /** Bytes of one request to a drive, a multiple of 4096. */
  readonly maxBytes: number;
}

/** Depth and size of reads: USUAL_READS where they are not given. */
export interface ReaderOptions extends Partial<ReadSize> {
  /**
   * Default: the faster one on this file system, for memory that has been used before. What has not is better filled by pread,
   * whose threads have the kernel make its pages in parallel: a ring's thread does that alone.
   */
  readonly method?: 'io_uring' | 'pread';
  /** Past the page cache, where the file system allows it. Default: where that is faster. */
  readonly direct?: boolean;
  /**
   * Takes what the page cache already has from there, for reads that happen once: a model that was loaded before, or has just
   * been downloaded. Reads past the cache do not add to it. Default: false.
   */
  readonly useCache?: boolean;
}

/**
 * Throws NtxError: 'io' where a file cannot be opened, 'bad-argument' for options out of range, 'unsupported' where io_uring is
 * asked for and not there.
 */
export async function openReader(paths: readonly string[], options: ReaderOptions = {}): Promise<FileReader> {
  const onDrive = attachedModel(paths[0]);
  if (onDrive !== undefined) return new NvmeReader(onDrive, paths);
  const { addon } = loadHostAddon();
  if (addon === null) return openNodeReader(paths);
  const { method, direct, useCache = false, depth, maxBytes } = { ...USUAL_READS, ...options };
  checkWhole('depth', depth, 1, MAX_DEPTH);
  checkWhole('maxBytes', maxBytes, PAGE, MAX_REQUEST_BYTES);
  if (maxBytes % PAGE !== 0) throw badArgument('maxBytes', `a multiple of ${PAGE}`, maxBytes);
  const { unavailable } = addon.ioUringInfo();
  if (method === 'io_uring' && unavailable !== '') {
    throw new NtxError('unsupported', `io_uring is not there: ${unavailable}`, 'choose pread; "ntx doctor" says more');
  }
  const preferred = { ioUring: unavailable === '', direct: true, useCache, depth, maxBytes };
  const reader = new HostReader(addon, paths, fixed(preferred, method, direct));
  if (method !== undefined && direct !== undefined) return reader;
  const measured = await measuredMethod(addon, paths, preferred, reader).catch(async (error: unknown) => {
    await reader.close();
    throw error;
  });
  if (measured === null) return reader;
  await reader.close();
  return new HostReader(addon, paths, fixed({ ...preferred, ...measured }, method, direct));
}

function fixed(settings: ReaderSettings, method: ReaderOptions['method'], direct = settings.direct): ReaderSettings {
  return { ...settings, ioUring: method === undefined ? settings.ioUring : method === 'io_uring', direct };
}

/** Of the drive that has most of the bytes; null where measuring is not worth its time. */
async function measuredMethod(addon: HostAddon, paths: readonly string[], base: ReaderSettings, reader: HostReader) {
  const sizes = reader.fileBytes();
  const largest = sizes.reduce((best, bytes, i) => (bytes > sizes[best] ? i : best), 0);
  if (!(sizes[largest] >= WORTH_MEASURING_BYTES)) return null;
  return chooseMethod(addon, paths[largest], base);
}

function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw badArgument(name, `a whole number from ${least} to ${most}`, value);
}

function badArgument(name: string, expected: string, value: number): NtxError {
  return new NtxError('bad-argument', `${name}: expected ${expected}, got ${value}`, 'leave it out');
}
