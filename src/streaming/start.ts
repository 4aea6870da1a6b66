import type { Backend } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { Model } from '../model/index.js';
import type { FileReader } from './file-reader.js';
import type { PlacedModel } from './place.js';
import type { Recording } from './recording.js';
import { Streamer } from './streamer.js';
import { DiskTier, PinnedTier } from './tiers.js';

export interface StreamParts {
  readonly backend: Backend;
  readonly model: Model;
  readonly placed: PlacedModel;
  readonly recordings: readonly Recording[];
  readonly reader: FileReader | null;
}

/** A streamer over the tiers of a placed model, with the first units on their way. */
export function startStreamer({ backend, model, placed, recordings, reader }: StreamParts): {
  readonly streamer: Streamer;
  /** Resolves when nothing is read any more. */
  close(): Promise<void>;
} {
  const { pinned, slots, staging } = placed;
  const host = new PinnedTier(backend, pinned);
  const disk = reader && new DiskTier(backend, reader, model.units, staging);
  reader?.attach?.(staging.map((memory) => ({ memory, offset: 0, bytes: memory.bytes })));
  const tierOf = (transfer: { readonly staging: number | null }) => {
    if (transfer.staging === null) return host;
    if (disk) return disk;
    throw new NtxError('internal', 'the plan reads from disk and there is no reader', 'report this');
  };
  const streamer = new Streamer({ backend, recordings, slots, stagingCount: staging.length, tierOf });
  streamer.start();
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
  return { streamer, close };
}
