// The CUDA addon, native/cuda/addon.cc. Only this file loads it.
import { existsSync } from 'node:fs';
import { type LoadedAddon, loadAddon } from '../../addon.js';

/** Device memory or pinned host memory; errors of the constructor carry code 'no-memory' where there is not that much. */
export interface NativeMemory {
  /** An external Uint8Array over [offset, offset + bytes) of host memory, at most 4 GiB - 1; it keeps the memory alive. */
  view(offset: number, bytes: number): Uint8Array;
  /** Device memory is given back, which waits for what was enqueued; pinned memory when no view of it is left. */
  free(): void;
}

export interface NativeList {
  /** Waits for the passes that are on their way. */
  dispose(): void;
}

/** The two streams. In each, work completes in order and gets numbers that count from 1: tickets. */
export const COMPUTE = 0;
export const COPIES = 1;
export type StreamNumber = typeof COMPUTE | typeof COPIES;

/** A device, which only measureReadBandwidth() waits for. Errors of the device carry code 'cuda'. */
export interface NativeEngine {
  /** A segment of a pass, behind a ticket of the copies (0: behind none). Returns its ticket. */
  submit(list: NativeList, step: Uint32Array, afterCopies: number, segment: number): number;
  /** Backend.submitDrawn() of `bytes` of candidates. Returns tickets of the pass and of the read, and a number for take(). */
  submitDrawn(
    list: NativeList,
    step: Uint32Array,
    sampling: Uint32Array,
    candidates: NativeMemory,
    offset: number,
    bytes: number,
  ): [pass: number, read: number, buffer: number];
  /** `after` is a ticket of the other stream, or 0. Returns the copy's ticket. */
  copy(
    stream: StreamNumber,
    from: NativeMemory,
    fromOffset: number,
    to: NativeMemory,
    toOffset: number,
    bytes: number,
    after: number,
  ): number;
  /** Backend.handOver() on the compute stream. Returns its ticket. */
  handOver(data: NativeMemory, offset: number, bytes: number, words: NativeMemory, turn: number): number;
  canHandOver(): boolean;
  /** On the compute stream. Returns its ticket and a number for take(). */
  read(from: NativeMemory, offset: number, bytes: number): [ticket: number, buffer: number];
  /** The bytes of a read whose ticket has completed; once. */
  take(buffer: number): ArrayBuffer;
  /** Asks for onProgress when the ticket has completed. */
  watch(stream: StreamNumber, ticket: number): void;
  /** A pass with a clock on every launch. Returns its ticket. */
  profile(list: NativeList, step: Uint32Array): number;
  /** Pairs of (op, seconds) of the list's profiled pass, when it has completed. */
  timings(list: NativeList): Float64Array;
  /** Bytes a second. */
  measureReadBandwidth(bytes: number): number;
  /** Bytes of the device that nobody has, and all. */
  memory(): [free: number, total: number];
  /** How long JavaScript's thread has waited so far for passes that were nearly done. */
  settledSeconds(): number;
  /** Makes the device fail, for tests of what follows. Returns the ticket of the kernel that does. */
  fault(): number;
  close(): void;
}

export interface NativeDevice {
  readonly name: string;
  /** Compute capability: 9 and 0 for an H100. */
  readonly major: number;
  readonly minor: number;
  readonly multiprocessors: number;
  readonly memoryBytes: number;
  readonly integrated: boolean;
}

/** What the driver says. */
export interface DriverFacts {
  /** CUDA versions, as 13000 for 13.0: the newest that the driver serves (0: there is no driver), and ours. */
  readonly driver: number;
  readonly runtime: number;
  /** CUDA's name of the reason why there are no devices. */
  readonly problem: string | null;
  /** What kernels were built for, in CMake's names: "90-real,120-virtual". */
  readonly architectures: string;
  readonly devices: readonly NativeDevice[];
}

export interface CudaAddon {
  /** onProgress: the last tickets that are known to have completed, and what the device failed with, if it has. */
  readonly Engine: new (
    device: number,
    onProgress: (compute: number, copies: number, failure: string | null) => void,
  ) => NativeEngine;
  /** Zeroed memory of `bytes`; or the pages of a Uint8Array, pinned. `combined`: pinned and write-combined. */
  readonly Memory: new (
    engine: NativeEngine,
    bytes: number | Uint8Array,
    pinned: boolean,
    combined?: boolean,
  ) => NativeMemory;
  /**
   * Decodes and checks the bytes of native/ops.h; throws on anything that does not fit. `fused`: indices of ops that
   * become part of the op behind them, or may (native/cuda/op-list.h). `cuts`: of ops with which segments begin.
   */
  readonly OpList: new (
    engine: NativeEngine,
    bytes: Uint8Array,
    memories: readonly NativeMemory[],
    fused: Uint32Array,
    cuts: Uint32Array,
  ) => NativeList;
  devices(): DriverFacts;
  /** Whether the built kernels run on a device. */
  hasKernels(device: number): boolean;
}

/** What an NVIDIA driver brings, on Linux and in WSL. */
const DRIVER_FILES = [
  '/dev/nvidiactl',
  '/dev/dxg',
  ...['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib/wsl/lib'].map(
    (folder) => `${folder}/libcuda.so.1`,
  ),
];

/** Whether it is worth loading the addon. */
export function mayHaveCuda(): boolean {
  return DRIVER_FILES.some((file) => existsSync(file));
}

let loaded: LoadedAddon<CudaAddon> | undefined;

/** The CUDA addon, or the reason why there is none. */
export function loadCudaAddon(): LoadedAddon<CudaAddon> {
  loaded ??= loadAddon<CudaAddon>('ntx_cuda');
  return loaded;
}
