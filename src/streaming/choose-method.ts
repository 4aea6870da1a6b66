// Which way of reading is the fastest on a file system, by a short measurement on the very file.
import type { HostMemory } from '../backend/backend.js';
import type { HostAddon, NativeReader, ReaderSettings } from '../backend/cpu/binding.js';
import { HostReader } from './host-reader.js';

type Method = Pick<ReaderSettings, 'ioUring' | 'direct'>;

/** Measured once for each drive and process. */
const chosen = new Map<number, Promise<Method>>();

/** Each candidate reads in turn for so long, in all: a tenth of a second for three of them. */
const ROUNDS = 2;
const ROUND_SECONDS = 0.02;
/** A way has to be this much faster to come before one that takes less of the processor or of the page cache. */
const CLEARLY = 1.1;

/**
 * The method for a drive, measured by reading parts of `path` that no other candidate has read. Candidates come in the order of
 * preference: io_uring takes the fewest threads, buffered reads cost a copy and push other files out of the cache.
 */
export async function chooseMethod(addon: HostAddon, path: string, base: ReaderSettings): Promise<Method> {
  const probe = new addon.Reader([path], { ...base, ioUring: false, direct: true, useCache: true }, () => {});
  try {
    const { drive } = probe.files()[0];
    let choice = chosen.get(drive);
    if (choice === undefined) {
      choice = measure(addon, path, base, probe);
      chosen.set(drive, choice);
      choice.catch(() => chosen.delete(drive));
    }
    return await choice;
  } finally {
    probe.close();
  }
}

async function measure(addon: HostAddon, path: string, base: ReaderSettings, probe: NativeReader): Promise<Method> {
  const candidates: Method[] = [
    ...(addon.ioUringInfo().unavailable === '' ? [{ ioUring: true, direct: true }] : []),
    { ioUring: false, direct: true },
    { ioUring: false, direct: false },
  ];
  const memory = scratch(addon, base.depth * base.maxBytes);
  const rates = candidates.map(() => 0);
  const [{ bytes }] = probe.files();
  try {
    const parts = ROUNDS * candidates.length;
    for (let part = 0; part < parts; part++) {
      const candidate = part % candidates.length;
      const begin = Math.floor(((bytes / parts) * part) / base.maxBytes) * base.maxBytes;
      const reader = new HostReader(addon, [path], { ...base, ...candidates[candidate], useCache: false });
      // What is in the page cache would say nothing of the drive.
      const isCached = (offset: number) => probe.cached(0, offset, base.maxBytes);
      const rate = await rateOf(reader, memory, begin, Math.floor((bytes / parts) * (part + 1)), isCached);
      rates[candidate] = Math.max(rates[candidate], rate);
    }
  } finally {
    memory.free();
  }
  let best = 0;
  for (let i = 1; i < candidates.length; i++) if (rates[i] > rates[best] * CLEARLY) best = i;
  return candidates[best];
}

/** Bytes a second from [begin, end) of the reader's file, at full depth; closes the reader. */
async function rateOf(
  reader: HostReader,
  memory: HostMemory,
  begin: number,
  end: number,
  isCached: (offset: number) => boolean,
): Promise<number> {
  const { depth, maxBytes: bytes } = reader;
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  let next = begin;
  let done = 0;
  const lane = async (at: number) => {
    while (next + bytes <= end && seconds() < ROUND_SECONDS) {
      const offset = next;
      next += bytes;
      if (isCached(offset)) continue;
      await reader.read({ file: 0, offset, bytes, memory, at });
      done += bytes;
    }
  };
  try {
    await Promise.all(Array.from({ length: depth }, (_, i) => lane(i * bytes)));
    return done / seconds();
  } finally {
    await reader.close();
  }
}

function scratch(addon: HostAddon, bytes: number): HostMemory {
  const native = new addon.Memory(bytes);
  const whole = native.view(0, bytes).fill(1); // pages that exist: the first use of each costs more than its read
  return {
    bytes,
    label: 'buffer of the disk measurement',
    view: (offset, length) => whole.subarray(offset, offset + length),
    free: () => native.free(),
  };
}
