import type { Backend } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { Model } from '../model/index.js';
import type { Transfer } from '../placement/plan.js';
import type { CpuUnits } from './cpu-units.js';
import type { FileReader } from './file-reader.js';
import { bytesRead, inLanes } from './lanes.js';
import type { PlacedWeights } from './place.js';
import type { ReadOptions } from './read-weights.js';
import type { Recording } from './recording.js';
import { Streamer } from './streamer.js';
import { DiskTier, PinnedTier } from './tiers.js';

export interface StreamParts {
  readonly backend: Backend;
  readonly model: Model;
  readonly placed: PlacedWeights;
  readonly recordings: readonly Recording[];
  readonly reader: FileReader | null;
  readonly load?: ReadOptions | undefined;
  /** Checksums of units on disk are recorded now, and compared whenever these are read. */
  readonly verify: boolean;
  readonly cpu: CpuUnits | null;
}

export interface StartedStreamer {
  readonly streamer: Streamer;
  /** Resolves when nothing is read any more. */
  close(): Promise<void>;
}

/** A streamer over the tiers of a placed model, with the first units on their way. */
export async function startStreamer(parts: StreamParts): Promise<StartedStreamer> {
  const { backend, model, placed, recordings, reader, verify, cpu } = parts;
  const { pinned, slots, staging } = placed;
  const host = new PinnedTier(backend, pinned);
  const disk = reader && new DiskTier(backend, reader, model.units, staging, verify);
  const tierOf = (transfer: { readonly staging: number | null }) => {
    if (transfer.staging === null) return host;
    if (disk) return disk;
    throw new NtxError('internal', 'the plan reads from disk and there is no reader', 'report this');
  };
  const streamer = new Streamer({ backend, recordings, slots, stagingCount: staging.length, tierOf, cpu });
  let closed: Promise<void> | null = null;
  const end = async () => {
    streamer.stop();
    await disk?.settle();
    await reader?.close();
  };
  const close = () => {
    closed ??= end();
    return closed;
  };
  try {
    reader?.attach?.(staging.map((memory) => ({ memory, offset: 0, bytes: memory.bytes })));
    if (verify && disk) await recordChecksums(disk, reader, recordings[0].transfers, parts.load);
  } catch (error) {
    await close();
    throw error;
  }
  streamer.start();
  return { streamer, close };
}

/** Reads every unit on disk once, as many at a time as there are staging buffers. Closes the reader when it is cancelled. */
async function recordChecksums(
  disk: DiskTier,
  reader: FileReader,
  transfers: readonly Transfer[],
  { signal, onProgress }: ReadOptions = {},
): Promise<void> {
  const ofDisk = transfers.filter(({ staging }) => staging !== null);
  const totalBytes = bytesRead(ofDisk);
  let loadedBytes = 0;
  let cancelled: NtxError | null = null;
  const onAbort = () => {
    cancelled = new NtxError('cancelled', 'loading was cancelled', 'run the command again');
    void reader.close(); // what has not begun is dropped
  };
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  onProgress?.({ tier: 'disk', loadedBytes, totalBytes });
  const read = inLanes(ofDisk, async (lane, isOver) => {
    for (const transfer of lane) {
      if (cancelled !== null || isOver()) return;
      await disk.fetch(transfer, () => {});
      loadedBytes += bytesRead([transfer]);
      onProgress?.({ tier: 'disk', loadedBytes, totalBytes });
    }
  });
  try {
    await read;
  } catch (error) {
    // Reads of a reader that was closed fail as well.
    throw cancelled ?? error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
  if (cancelled !== null) throw cancelled;
}
