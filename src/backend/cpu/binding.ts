// The host addon, native/host/addon.cc. Only this file loads it.
import { type LoadedAddon, loadAddon } from '../../addon.js';

/** Page-aligned memory; errors of the constructor carry code 'no-memory' where the machine has not that much. */
export interface NativeMemory {
  /** An external Uint8Array over [offset, offset + bytes), at most 4 GiB - 1; it keeps the address range alive. */
  view(offset: number, bytes: number): Uint8Array;
  /** Gives the pages back at once. */
  free(): void;
}

export interface NativeList {
  dispose(): void;
}

/** Runs jobs in order on its own threads. Every method returns the job's number; they count from 1. */
export interface NativeExecutor {
  /** Ops `first` up to `end` of the list; all without them. */
  submit(list: NativeList, step: Uint32Array, first?: number, end?: number): number;
  /** The same when a device says in `words` that it is this turn of the host. */
  takeTurn(list: NativeList, step: Uint32Array, first: number, end: number, words: NativeMemory, turn: number): number;
  /** How many seconds ago one of the last thousand turns, which has completed, began and ended to compute. */
  turnSpan(job: number): [began: number, ended: number];
  copy(from: NativeMemory, fromOffset: number, to: NativeMemory, toOffset: number, bytes: number): number;
  /** `target` has to stay alive and attached until the job has completed. */
  read(from: NativeMemory, offset: number, target: Uint8Array): number;
  /** Bytes a second into target[0]; the same holds for `target`. */
  measureReadBandwidth(bytes: number, target: Float64Array): number;
  /** Lets the running job end, drops the others; onProgress(completed, true) follows. */
  stop(): void;
}

export interface ReaderSettings {
  readonly ioUring: boolean;
  /** Past the page cache, where the file system allows it. */
  readonly direct: boolean;
  /** With `direct`: what the page cache has already comes from there. */
  readonly useCache: boolean;
  /** Requests that each drive has at a time. */
  readonly depth: number;
  /** Of one request to a drive. */
  readonly maxBytes: number;
}

export interface ReaderFile {
  readonly bytes: number;
  /** Equal for files on the same drive. */
  readonly drive: number;
  /** Whether it is read past the page cache. */
  readonly direct: boolean;
  /** Of offsets and lengths, and of addresses, of direct reads. */
  readonly offsetAlignment: number;
  readonly memoryAlignment: number;
}

export interface ReaderStatistics {
  /** Requests to drives by the way that they took: into their place, through an aligned buffer, through the page cache. */
  readonly direct: number;
  readonly bounced: number;
  readonly buffered: number;
  /** The most that one drive has had at a time. */
  readonly peak: number;
  /** Whether the kernel has pinned the memory that was attached. */
  readonly pinned: boolean;
}

/** Reads files on its own threads. The constructor throws an Error where a file cannot be opened. */
export interface NativeReader {
  /** Fills `target`, whose memory stays where it is until the request with this number has ended. */
  read(file: number, offset: number, target: Uint8Array): number;
  /** Memory that many reads will go to, for the kernel to pin where it allows it; kept until close(). */
  attach(views: readonly Uint8Array[]): void;
  files(): readonly ReaderFile[];
  /** Whether the page cache has all of a range, for a reader that uses the cache. */
  cached(file: number, offset: number, bytes: number): boolean;
  statistics(): ReaderStatistics;
  /** Requests that have not begun end as cancelled. */
  drop(): void;
  /** When all requests have ended. */
  close(): void;
}

/** Three values for each request: its number, its failure ('', 'ended', 'cancelled', 'changed' or the system's words), the byte. */
type ReaderReport = readonly (number | string)[];

export interface CpuInfo {
  readonly name: string;
  /** Physical cores within this process's affinity and quota. */
  readonly cores: number;
  /** What this process could ever hold. */
  readonly memoryBytes: number;
  /** Kernels in use: "avx512". */
  readonly variant: string;
  /** Kernels that this processor can run, best first. */
  readonly variants: readonly string[];
}

export interface HostAddon {
  readonly Memory: new (bytes: number) => NativeMemory;
  /** Decodes and checks the bytes of native/ops.h for an executor of `threads`; throws on anything that does not fit. */
  readonly OpList: new (
    bytes: Uint8Array,
    memories: readonly NativeMemory[],
    threads: number,
  ) => NativeList;
  /**
   * `patience`: microseconds that threads spin after a pass before they sleep; 0 without it. Throws where the system does not
   * start so many threads.
   */
  readonly Executor: new (
    threads: number,
    onProgress: (completed: number, stopped: boolean) => void,
    patience?: number,
  ) => NativeExecutor;
  readonly Reader: new (
    paths: readonly string[],
    settings: ReaderSettings,
    onEnded: (report: ReaderReport) => void,
  ) => NativeReader;
  /** Why there can be no io_uring here ('' where there can), and the version of the addon's library ('' for none). */
  ioUringInfo(): { readonly unavailable: string; readonly library: string };
  /** XXH3 of 64 bits, on another thread; the bytes stay as they are until then. */
  checksum(bytes: Uint8Array): Promise<bigint>;
  cpuInfo(): CpuInfo;
  /** False where there are no such kernels. Process-wide; not while a pass runs. */
  useCpuVariant(name: string): boolean;
}

let loaded: LoadedAddon<HostAddon> | undefined;

/** The host addon, or the reason why there is none. */
export function loadHostAddon(): LoadedAddon<HostAddon> {
  loaded ??= loadAddon<HostAddon>('ntx_host');
  return loaded;
}
