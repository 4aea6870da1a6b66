// A model's place on a drive: what `ntx nvme map` writes and `ntx run x.ntxmap --nvme` reads.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { NtxError } from '../errors.js';
import type { DriveRun } from './drive.js';

/** Bytes of a file that lie together on the drive. */
export interface MappedExtent {
  readonly offset: number;
  /** Byte of the namespace. */
  readonly drive: number;
  readonly bytes: number;
  /** SHA-256 over the extent's samples. */
  readonly samples: string;
}

export interface MappedFile {
  readonly name: string;
  readonly bytes: number;
  /** Up to the first tensor. */
  readonly headerBytes: number;
  readonly headerHash: string;
  /** By offset, without gaps. */
  readonly extents: readonly MappedExtent[];
}

export interface ModelMap {
  readonly ntxmap: 1;
  /** When it was made, ISO 8601. */
  readonly made: string;
  readonly drive: { readonly serial: string; readonly model: string; readonly namespace: number };
  readonly files: readonly MappedFile[];
}

export const MAP_ENDING = '.ntxmap';

/** Beyond any: vocabularies are some tens of MiB. */
const MOST_HEADER_BYTES = 2 ** 30;
const SAMPLE_BYTES = 4096;
/** A file that was written anew differs nearly everywhere; one sample in so many bytes keeps the check to a fraction of a second. */
const SAMPLE_SPACING = 8 << 20;

/** Where an extent is sampled: its first and last bytes, and one piece in every 8 MiB. By offset in the file, without overlap. */
export function samplePlaces({
  offset,
  bytes,
}: Pick<MappedExtent, 'offset' | 'bytes'>): { offset: number; bytes: number }[] {
  const places: { offset: number; bytes: number }[] = [];
  for (let at = 0; at < bytes; at += SAMPLE_SPACING) {
    places.push({ offset: offset + at, bytes: Math.min(SAMPLE_BYTES, bytes - at) });
  }
  const last = places.at(-1)!;
  const tail = Math.max(last.offset + last.bytes, offset + bytes - SAMPLE_BYTES);
  if (tail < offset + bytes) places.push({ offset: tail, bytes: offset + bytes - tail });
  return places;
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The places on the drive of [offset, offset + bytes) of a file; `at` counts from its begin. Throws NtxError('io') beyond it. */
export function runsOf(file: MappedFile, offset: number, bytes: number): DriveRun[] {
  const end = offset + bytes;
  if (end > file.bytes) {
    throw new NtxError('io', `${file.name} ends at byte ${file.bytes}, and byte ${end} was asked for`, 'report this');
  }
  const runs: DriveRun[] = [];
  if (bytes === 0) return runs;
  for (let i = firstAt(file.extents, offset); i < file.extents.length && file.extents[i].offset < end; i++) {
    const extent = file.extents[i];
    const from = Math.max(offset, extent.offset);
    const to = Math.min(end, extent.offset + extent.bytes);
    runs.push({ offset: extent.drive + (from - extent.offset), bytes: to - from, at: from - offset });
  }
  return runs;
}

/** Index of the extent that holds an offset, by halving. */
function firstAt(extents: readonly MappedExtent[], offset: number): number {
  let [low, high] = [0, extents.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (extents[middle].offset <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Reads and checks a map. Throws NtxError `io` or `bad-file`. */
export async function readModelMap(path: string): Promise<ModelMap> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const advice = 'make one with `ntx nvme map MODEL`, while the file system is mounted';
    throw new NtxError('io', `the map ${path} cannot be read: ${(error as Error).message}`, advice, { cause: error });
  }
  return parseModelMap(path, text);
}

export function parseModelMap(path: string, text: string): ModelMap {
  const bad = (what: string) =>
    new NtxError('bad-file', `${path} is no map of a model: ${what}`, 'make it again with `ntx nvme map MODEL`');
  let map: ModelMap;
  try {
    map = JSON.parse(text);
  } catch {
    throw bad('expected JSON');
  }
  if (map?.ntxmap !== 1) throw bad(`expected "ntxmap": 1, got ${JSON.stringify(map?.ntxmap)}`);
  const { drive, files } = map;
  if (typeof drive?.serial !== 'string' || drive.serial === '') throw bad("the drive's serial number is missing");
  if (!isWhole(drive.namespace) || drive.namespace < 1) throw bad("the drive's namespace is missing");
  if (!Array.isArray(files) || files.length === 0) throw bad('it names no files');
  for (const file of files) checkFile(file, bad);
  return map;
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkFile(file: MappedFile, bad: (what: string) => NtxError): void {
  if (typeof file?.name !== 'string') throw bad('a file has no name');
  const { name, bytes, headerBytes, headerHash, extents } = file;
  if (!isWhole(bytes) || !isWhole(headerBytes) || headerBytes > Math.min(bytes, MOST_HEADER_BYTES)) {
    throw bad(`the sizes of ${name} are wrong`);
  }
  if (typeof headerHash !== 'string' || !Array.isArray(extents)) throw bad(`${name} has no header hash or no extents`);
  let next = 0;
  for (const extent of extents) {
    const { offset, drive, bytes: length, samples } = extent ?? {};
    if (offset !== next || !isWhole(drive) || !isWhole(length) || length === 0 || typeof samples !== 'string') {
      throw bad(`the extents of ${name} have a gap or a wrong number at byte ${next}`);
    }
    next += length;
  }
  if (next !== bytes) throw bad(`the extents of ${name} end at byte ${next} of ${bytes}`);
}
