// Weights from a model's files into a backend's memory: straight into what the host writes to, through staging into the rest.
import type { Backend, DeviceMemory, HostMemory } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { FileReader } from './file-reader.js';

/** Bytes of one read: the reader splits it for the drive; a copy to a device wants at least as much. */
const READ_BYTES = 8 << 20;
/** Together more than a reader's depth of requests, on a few drives at a time; for devices, as many staging buffers. */
const READS_IN_FLIGHT = 8;
/** Of readers' alignments (FileReader.alignment). */
const MOST_ALIGNMENT = 4096;

/** How far one tier is. */
export interface LoadProgress {
  /** Device memory, RAM, or what stays in its files and is read for its checksums (`verify`). */
  readonly tier: 'device' | 'host' | 'disk';
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called for each tier that is filled: at the beginning, and as its bytes come. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Bytes of a file that belong at a place in memory. */
export interface WeightRange {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  readonly memory: DeviceMemory | HostMemory;
  readonly at: number;
}

/**
 * Reads all ranges, several at a time and from all files at once. On failure or cancellation (NtxError) nothing writes to the
 * memories any more when it rejects, and the reader is closed; else the caller closes it.
 */
export async function readWeights(
  reader: FileReader,
  ranges: readonly WeightRange[],
  fileBytes: readonly number[],
  backend: Backend,
  { signal, onProgress }: ReadOptions = {},
): Promise<void> {
  const queue = new ReadQueue(ranges.filter(({ bytes }) => bytes > 0));
  const tiers = new TierCounts(ranges, onProgress);
  const stagings: HostMemory[] = [];
  let failure: unknown = null;
  const stop = (reason: unknown) => {
    failure ??= reason;
    return reader.close(); // what has not begun is dropped
  };
  const lane = async () => {
    let staging: HostMemory | null = null;
    for (let read = queue.take(); read !== null && failure === null; read = queue.take()) {
      if (isHost(read.memory)) await reader.read({ ...read, memory: read.memory });
      else {
        if (staging === null) {
          staging = backend.allocateHost(READ_BYTES + 2 * MOST_ALIGNMENT, 'staging of weights');
          stagings.push(staging);
          reader.attach?.([{ memory: staging, offset: 0, bytes: staging.bytes }]);
        }
        await readThrough(reader, read, fileBytes[read.file], staging, backend);
      }
      queue.done(read);
      tiers.count(read);
    }
  };
  const onAbort = () => void stop(new NtxError('cancelled', 'loading was cancelled', 'run the command again'));
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    // All must have ended before the memory that they write to may be freed.
    await Promise.all(Array.from({ length: READS_IN_FLIGHT }, () => lane().catch(stop)));
    if (failure !== null) throw failure;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    for (const staging of stagings) staging.free();
  }
}

function isHost(memory: WeightRange['memory']): memory is HostMemory {
  return 'view' in memory;
}

/** Bytes by tier, told to who wants to know. */
class TierCounts {
  readonly #tiers = new Map<LoadProgress['tier'], { loadedBytes: number; totalBytes: number }>();

  constructor(
    ranges: readonly WeightRange[],
    private readonly onProgress: ReadOptions['onProgress'],
  ) {
    for (const { memory, bytes } of ranges) {
      const { totalBytes } = this.#tiers.get(tierOf(memory)) ?? { totalBytes: 0 };
      this.#tiers.set(tierOf(memory), { loadedBytes: 0, totalBytes: totalBytes + bytes });
    }
    for (const [tier, counts] of this.#tiers) onProgress?.({ tier, ...counts });
  }

  count({ memory, bytes }: WeightRange): void {
    const tier = tierOf(memory);
    const counts = this.#tiers.get(tier)!;
    counts.loadedBytes += bytes;
    this.onProgress?.({ tier, ...counts });
  }
}

function tierOf(memory: WeightRange['memory']): LoadProgress['tier'] {
  return isHost(memory) ? 'host' : 'device';
}

/** Whole blocks into staging, the wanted bytes to the device, and staging ready for the next. */
async function readThrough(
  reader: FileReader,
  { file, offset, bytes, memory, at }: WeightRange,
  fileBytes: number,
  staging: HostMemory,
  backend: Backend,
): Promise<void> {
  const begin = Math.floor(offset / reader.alignment) * reader.alignment;
  const end = Math.min(Math.ceil((offset + bytes) / reader.alignment) * reader.alignment, fileBytes);
  await reader.read({ file, offset: begin, bytes: end - begin, memory: staging, at: 0 });
  // Whole words, as WebGPU copies them: the rest of a tensor's padding is nobody's.
  const whole = Math.ceil(bytes / 4) * 4;
  const from = { memory: staging, offset: offset - begin, bytes: whole };
  await backend.wait(backend.copy(from, { memory, offset: at, bytes: whole }));
  await staging.map?.();
}

/** Pieces of the ranges, always from the file that has the fewest reads in flight: shards may lie on several drives. */
class ReadQueue {
  /** Of each file, last piece first. */
  readonly #waiting = new Map<number, WeightRange[]>();
  readonly #inFlight = new Map<number, number>();

  constructor(ranges: readonly WeightRange[]) {
    for (const range of ranges) {
      const pieces = this.#waiting.get(range.file) ?? [];
      this.#waiting.set(range.file, pieces);
      pieces.push(...cut(range));
    }
    for (const pieces of this.#waiting.values()) pieces.reverse();
  }

  take(): WeightRange | null {
    const load = (file: number) => this.#inFlight.get(file) ?? 0;
    const files = [...this.#waiting.keys()].sort((a, b) => load(a) - load(b));
    if (files.length === 0) return null;
    const pieces = this.#waiting.get(files[0])!;
    if (pieces.length === 1) this.#waiting.delete(files[0]);
    this.#inFlight.set(files[0], load(files[0]) + 1);
    return pieces.pop()!;
  }

  done({ file }: WeightRange): void {
    this.#inFlight.set(file, this.#inFlight.get(file)! - 1);
  }
}

/** Cut where the file's offset is a multiple of READ_BYTES, and so of every alignment. */
function cut({ file, offset, bytes, memory, at }: WeightRange): WeightRange[] {
  const pieces: WeightRange[] = [];
  for (let done = 0; done < bytes; ) {
    const step = Math.min(READ_BYTES - ((offset + done) % READ_BYTES), bytes - done);
    pieces.push({ file, offset: offset + done, bytes: step, memory, at: at + done });
    done += step;
  }
  return pieces;
}
