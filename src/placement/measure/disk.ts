// How fast the very files of a model are read: by reads in flight and their size, past the page cache where that is allowed.
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { HostMemory } from '../../backend/backend.js';
import { NtxError } from '../../errors.js';
import type { DiskDescription } from '../machine.js';
import { type Disk, describeDisk } from '../system.js';
import { type Allowance, type Clock, fastest } from './timing.js';

const MEBIBYTE = 2 ** 20;
const BLOCKS = [MEBIBYTE / 4, MEBIBYTE, 4 * MEBIBYTE];
/** libuv reads with four threads. */
const DEPTHS = [1, 2, 4];
export const DISK_MEMORY_BYTES = Math.max(...BLOCKS) * Math.max(...DEPTHS);
/** A drive needs this long to get going; several seconds would say more of its cache than of its flash. */
const MOST_CELL_SECONDS = 0.25;
const LEAST_CELL_SECONDS = 0.02;
/** The best way is the one with the fewest bytes in flight that comes this near to the fastest. */
const NEAR = 0.97;
const SMALL_READ_BYTES = 4096;

/** A file system with those of a model's files that lie on it. */
export interface DiskFiles {
  readonly mount: string;
  readonly disk: Disk;
  readonly paths: readonly string[];
}

/** Files by the file system that they lie on, in their order. Throws NtxError('io') for one that is not there. */
export async function groupByDisk(paths: readonly string[]): Promise<DiskFiles[]> {
  const groups = new Map<number, { mount: string; disk: Disk; paths: string[] }>();
  for (const path of paths) {
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
 * Sweeps reads in flight and block sizes over the largest of the files.
 * @param memory DISK_MEMORY_BYTES, aligned to pages where reads are to pass the page cache
 */
export async function measureDisk(
  files: DiskFiles,
  memory: HostMemory,
  allowance: Allowance,
): Promise<DiskDescription> {
  const sizes = await Promise.all(files.paths.map(async (path) => ({ path, bytes: (await stat(path)).size })));
  const { path, bytes } = sizes.reduce((largest, each) => (each.bytes > largest.bytes ? each : largest));
  const { handle, direct, alignment } = await openAligned(path, memory);
  try {
    const file = new MeasuredFile(handle, path, bytes, alignment, memory);
    const blocks = BLOCKS.filter((block) => block <= bytes);
    const cells = (blocks.length > 0 ? blocks : [largestMultiple(bytes, alignment)]).flatMap((block) =>
      DEPTHS.map((depth) => ({ block, depth })),
    );
    const requestSeconds = await fastest(() => file.readSmall(), allowance.now);
    const measured: { block: number; depth: number; rate: number }[] = [];
    for (const [index, cell] of cells.entries()) {
      const share = allowance.left() / (cells.length - index);
      const seconds = Math.min(MOST_CELL_SECONDS, Math.max(LEAST_CELL_SECONDS, share));
      measured.push({ ...cell, rate: await file.rate(cell.block, cell.depth, seconds, allowance.now) });
    }
    const { depth, block, rate } = cheapestNearBest(measured);
    const { device, fileSystem } = files.disk;
    return {
      ...{ mount: files.mount, device, fileSystem, direct, alignment },
      ...{ depth, blockBytes: block, rate, requestSeconds },
    };
  } finally {
    await handle.close();
  }
}

/** Of the cells that are nearly as fast as the fastest: the one with the fewest bytes in flight. */
export function cheapestNearBest<Cell extends { block: number; depth: number; rate: number }>(
  cells: readonly Cell[],
): Cell {
  const best = Math.max(...cells.map(({ rate }) => rate));
  return cells
    .filter(({ rate }) => rate >= NEAR * best)
    .reduce((least, cell) => (cell.block * cell.depth < least.block * least.depth ? cell : least));
}

/** O_DIRECT with the smallest alignment that works, else through the page cache. */
async function openAligned(path: string, memory: HostMemory) {
  const flag = constants.O_DIRECT;
  for (const alignment of flag === undefined ? [] : [512, 4096]) {
    let handle: FileHandle | null = null;
    try {
      handle = await open(path, constants.O_RDONLY | flag);
      // At an offset that is a multiple of nothing larger.
      await handle.read(memory.view(0, alignment), 0, alignment, alignment);
      return { handle, direct: true, alignment };
    } catch {
      // tmpfs and some network mounts refuse; so does a drive of larger blocks.
      await handle?.close();
    }
  }
  return { handle: await open(path, 'r'), direct: false, alignment: 1 };
}

class MeasuredFile {
  /** Where the next read begins: further on in each run, so that no run reads what the one before left in a cache. */
  #next = 0;

  constructor(
    private readonly handle: FileHandle,
    private readonly path: string,
    private readonly bytes: number,
    private readonly alignment: number,
    private readonly memory: HostMemory,
  ) {}

  async readSmall(): Promise<void> {
    const bytes = Math.min(SMALL_READ_BYTES, largestMultiple(this.bytes, this.alignment));
    const places = Math.max(1, Math.floor(this.bytes / bytes));
    // A multiplicative walk over the file: a drive that reads ahead gains nothing from it.
    this.#next = (this.#next * 5 + 7) % places;
    await this.#read(this.#next * bytes, bytes, 0);
  }

  /** Bytes a second of `depth` readers that read block after block for about `seconds`. */
  async rate(block: number, depth: number, seconds: number, now: Clock): Promise<number> {
    const places = Math.max(1, Math.floor(this.bytes / block));
    const begin = now();
    let count = 0;
    const reader = async (index: number) => {
      do {
        const place = this.#next++ % places;
        await this.#read(place * block, block, index * block);
        count++;
      } while (now() - begin < seconds);
    };
    await Promise.all(Array.from({ length: depth }, (_, index) => reader(index)));
    return (count * block) / (now() - begin);
  }

  async #read(offset: number, bytes: number, at: number): Promise<void> {
    try {
      await this.handle.read(this.memory.view(at, bytes), 0, bytes, offset);
    } catch (error) {
      const message = `${this.path}: reading at byte ${offset} failed: ${(error as Error).message}`;
      throw new NtxError('io', message, 'check the drive', { cause: error });
    }
  }
}

/** At least one byte: a file that is smaller than its alignment is read as a whole. */
function largestMultiple(bytes: number, alignment: number): number {
  return Math.max(1, bytes < alignment ? bytes : Math.floor(bytes / alignment) * alignment);
}
