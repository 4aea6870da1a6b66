// How fast the very files of a model are read: by requests in flight and their size, by the reader that will read them.
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { HostMemory } from '../../backend/backend.js';
import { NtxError } from '../../errors.js';
import { attachedFile } from '../../nvme/attach.js';
import type { FileReader } from '../../streaming/file-reader.js';
import { openReader, USUAL_READS } from '../../streaming/open-reader.js';
import type { DiskDescription } from '../machine.js';
import { type Disk, describeDisk } from '../system.js';
import { type Allowance, type Clock, fastest } from './timing.js';

const MEBIBYTE = 2 ** 20;
const BLOCKS = [MEBIBYTE / 2, MEBIBYTE, 4 * MEBIBYTE];
const DEPTHS = [1, 4, 16, 32];
/**
 * What a plan would have in flight at most. All of it is read into in turn, also where less is in flight: what is written to the same
 * few megabytes again and again stays in a core's cache, and comes faster than what fills staging.
 */
export const DISK_MEMORY_BYTES = 64 * MEBIBYTE;
/** A drive needs this long to get going; several seconds would say more of its cache than of its flash. */
const MOST_CELL_SECONDS = 0.2;
const LEAST_CELL_SECONDS = 0.02;
/** How often the way of the sweep and the usual one are measured again: one short look at a shared drive says little. */
const FINAL_ROUNDS = 3;
/** The usual way is taken where no other is faster by as much. */
const CLEARLY = 1.25;
/** The best way is the one with the fewest bytes in flight that comes this near to the fastest. */
const NEAR = 0.97;
const SMALL_READ_BYTES = 4096;

/** A drive that ntx reads by itself (docs/nvme.md). */
const WITHOUT_FILE_SYSTEM: Disk = { mount: null, fileSystem: null, device: null, solidState: true, freeBytes: 0 };

/** A file system with those of a model's files that lie on it. */
export interface DiskFiles {
  readonly mount: string;
  readonly disk: Disk;
  readonly paths: readonly string[];
}

/** Files by the file system that they lie on, in their order. Throws NtxError('io') for one that is not there. */
export async function groupByDisk(paths: readonly string[]): Promise<DiskFiles[]> {
  const groups = new Map<number | string, { mount: string; disk: Disk; paths: string[] }>();
  for (const path of paths) {
    const attached = attachedFile(path)?.drive;
    if (attached !== undefined) {
      const files = groups.get(attached)?.paths ?? [];
      groups.set(attached, { mount: attached, disk: WITHOUT_FILE_SYSTEM, paths: [...files, path] });
      continue;
    }
    let stats: Stats;
    try {
      stats = await stat(path);
    } catch (error) {
      throw new NtxError('io', `${path}: ${(error as Error).message}`, 'check the path', { cause: error });
    }
    const group = groups.get(stats.dev);
    if (group) {
      group.paths.push(path);
      continue;
    }
    const disk = describeDisk(path);
    groups.set(stats.dev, { mount: disk.mount ?? `device ${stats.dev}`, disk, paths: [path] });
  }
  return [...groups.values()];
}

/**
 * Sweeps requests in flight and their sizes over the largest of the files.
 * @param memory DISK_MEMORY_BYTES, aligned to pages
 */
export async function measureDisk(
  files: DiskFiles,
  memory: HostMemory,
  allowance: Allowance,
): Promise<DiskDescription> {
  const sizes = await Promise.all(files.paths.map(async (path) => ({ path, bytes: await fileBytes(path) })));
  const { path, bytes } = sizes.reduce((largest, each) => (each.bytes > largest.bytes ? each : largest));
  const file = new MeasuredFile(path, bytes, memory);
  const requestSeconds = await file.smallReadSeconds(allowance.now);
  const blocks = BLOCKS.filter((block) => block <= bytes);
  const cells = (blocks.length > 0 ? blocks : [SMALL_READ_BYTES]).flatMap((block) =>
    DEPTHS.filter((depth) => depth * block <= memory.bytes).map((depth) => ({ block, depth })),
  );
  let left = cells.length + 2 * FINAL_ROUNDS;
  const measure = (cell: Pick<Cell, 'block' | 'depth'>) => {
    const share = allowance.left() / left--;
    return file.measure(cell, Math.min(MOST_CELL_SECONDS, Math.max(LEAST_CELL_SECONDS, share)), allowance.now);
  };
  const measured: Cell[] = [];
  for (const cell of cells) measured.push(await measure(cell));
  const usual = measured.find(({ block, depth }) => block === USUAL_READS.maxBytes && depth === USUAL_READS.depth);
  const { depth, block, rate, alignment } = await finalOf(measure, cheapestNearBest(measured), usual);
  const { device, fileSystem } = files.disk;
  return {
    ...{ mount: files.mount, device, fileSystem, direct: alignment > 1, alignment },
    ...{ depth, blockBytes: block, rate, requestSeconds },
  };
}

async function fileBytes(path: string): Promise<number> {
  return attachedFile(path)?.bytes ?? (await stat(path)).size;
}

interface Cell {
  readonly block: number;
  readonly depth: number;
  readonly rate: number;
  /** Of the reader: 1 where it reads through the page cache. */
  readonly alignment: number;
}

/** The usual way, or the other where it is clearly faster in several rounds; with its rate over all of them. */
export async function finalOf(
  measure: (cell: Cell) => Promise<Cell>,
  best: Cell,
  usual: Cell | undefined,
): Promise<Cell> {
  const finalists = usual === undefined || usual === best ? [best] : [usual, best];
  const rates = finalists.map((): number[] => []);
  for (let round = 0; round < FINAL_ROUNDS; round++) {
    for (const [i, cell] of finalists.entries()) rates[i].push((await measure(cell)).rate);
  }
  // Rounds take equal times: this is all bytes over all seconds.
  const means = rates.map((each) => each.reduce((sum, rate) => sum + rate, 0) / each.length);
  const taken = means.length > 1 && means[1] > CLEARLY * means[0] ? 1 : 0;
  return { ...finalists[taken], rate: means[taken] };
}

/** Of the cells that are nearly as fast as the fastest: the one with the fewest bytes in flight. */
export function cheapestNearBest<Way extends { block: number; depth: number; rate: number }>(
  ways: readonly Way[],
): Way {
  const best = Math.max(...ways.map(({ rate }) => rate));
  return ways
    .filter(({ rate }) => rate >= NEAR * best)
    .reduce((least, way) => (way.block * way.depth < least.block * least.depth ? way : least));
}

class MeasuredFile {
  /** Where the next read begins: further on in each cell, so that none reads what the one before left in a cache. */
  #next = 0;

  constructor(
    private readonly path: string,
    private readonly bytes: number,
    private readonly memory: HostMemory,
  ) {}

  /** Of one small read, alone. */
  async smallReadSeconds(now: Clock): Promise<number> {
    const bytes = Math.min(SMALL_READ_BYTES, this.bytes);
    const places = Math.max(1, Math.floor(this.bytes / bytes));
    const read = (reader: FileReader) => {
      // A multiplicative walk over the file: a drive that reads ahead gains nothing from it.
      this.#next = (this.#next * 5 + 7) % places;
      return reader.read({ file: 0, offset: this.#next * bytes, bytes, memory: this.memory, at: 0 });
    };
    return this.#reading(1, SMALL_READ_BYTES, (reader) => fastest(() => read(reader), now));
  }

  /** `depth` lanes that read block after block for about `seconds`. */
  async measure({ block, depth }: Pick<Cell, 'block' | 'depth'>, seconds: number, now: Clock): Promise<Cell> {
    const bytes = Math.min(block, this.bytes);
    const places = Math.max(1, Math.floor(this.bytes / bytes));
    const parts = Math.floor(this.memory.bytes / block);
    return this.#reading(depth, block, async (reader) => {
      const begin = now();
      let begun = 0;
      let count = 0;
      const lane = async () => {
        do {
          const place = this.#next++ % places;
          const at = (begun++ % parts) * block;
          await reader.read({ file: 0, offset: place * bytes, bytes, memory: this.memory, at });
          count++;
        } while (now() - begin < seconds);
      };
      await Promise.all(Array.from({ length: depth }, lane));
      return { block, depth, rate: (count * bytes) / (now() - begin), alignment: reader.alignment };
    });
  }

  async #reading<T>(depth: number, maxBytes: number, work: (reader: FileReader) => Promise<T>): Promise<T> {
    const reader = await openReader([this.path], { depth, maxBytes });
    try {
      return await work(reader);
    } finally {
      await reader.close();
    }
  }
}
