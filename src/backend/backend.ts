// The contract of a backend (docs/architecture.md). forward.ts, the streamer and the engine know nothing else of it.
import type { GgmlType } from '../gguf/types.js';
import type { Op } from './ops.js';
import type { Sampling } from './sampling.js';
import type { StepBuffer } from './step.js';

export interface DeviceInfo {
  readonly backend: 'reference' | 'cpu' | 'cuda' | 'webgpu';
  /** What a person calls it: "AMD EPYC 7B13, 2 threads, avx2". */
  readonly name: string;
  readonly kind: 'cpu' | 'discrete-gpu' | 'integrated-gpu' | 'software-gpu';
  /** Bytes of device memory; of RAM where `hostIsDevice`; 0 where the device does not say (WebGPU). */
  readonly memoryBytes: number;
  /** Bytes that one allocation can have at most; absent: memoryBytes. */
  readonly allocationBytes?: number;
  /** Bytes of an embedding table in device memory that `embed` can read, at most; absent: tables lie with the host. */
  readonly tableBytes?: number;
  /** Bytes that offsets of bound ranges are multiples of; absent: 4, and 32 for matrices, as GGUF promises. */
  readonly offsetAlignment?: number;
  /** Host memory may be bound in a recording as it is: nothing is copied (CPU, reference). */
  readonly hostIsDevice: boolean;
}

/** Memory on the device. `free` releases it at once; no list that uses it may be submitted afterwards. */
export interface DeviceMemory {
  readonly bytes: number;
  readonly label: string;
  free(): void;
}

/** Memory that the file reader fills and the device copies from at full link speed. */
export interface HostMemory extends DeviceMemory {
  /** The bytes [offset, offset + bytes) to write to: off the JS heap, valid until `free`. At most 4 GiB - 1 in one view. */
  view(offset: number, bytes: number): Uint8Array;
  /**
   * Where the host may not write what the device copies from (WebGPU): copy() ends all views, and this, after those copies,
   * allows new ones. Absent: views stay valid.
   */
  map?(): Promise<void>;
}

/** Bytes of a memory. A DeviceRange may name HostMemory where the device says `hostIsDevice`. */
export interface DeviceRange {
  readonly memory: DeviceMemory;
  readonly offset: number;
  readonly bytes: number;
}

export interface HostRange extends DeviceRange {
  readonly memory: HostMemory;
}

/** A weight matrix (rows of `cols` contiguous weights; GGUF's own bytes) or a vector of F32 (rows = 1) in memory. */
export interface BoundWeight {
  readonly type: GgmlType;
  readonly rows: number;
  readonly cols: number;
  readonly range: DeviceRange;
  /** Where `embed` finds the rows of a matrix that products use as well, if not in `range`: with the host. */
  readonly table?: DeviceRange;
}

/** What the names in ops stand for, and the sizes that a recording is made for. */
export interface Bindings {
  readonly weights: ReadonlyMap<string, BoundWeight>;
  /** Activations, KV caches, the rope table, outputs. */
  readonly buffers: ReadonlyMap<string, DeviceRange>;
  readonly sizes: PassSizes;
}

/** Bounds of every pass of a recording. */
export interface PassSizes {
  /** Rows of one pass. */
  readonly maxRows: number;
  /** Outputs of one pass (rows whose logits are wanted). */
  readonly maxOutputs: number;
  /** Sequence slots of the KV cache. */
  readonly slots: number;
  /** Positions of each slot. */
  readonly context: number;
}

/** What a backend takes for a recorded list by itself (list-memory.ts): bytes. Where the host is the device, all is `host`. */
export interface ListMemory {
  readonly device: number;
  readonly host: number;
}

/** Ops recorded once against fixed memory, replayed with a new step buffer on every pass. */
export interface CommandList {
  readonly opCount: number;
  /** What it has taken beside what it is bound to. Absent: nothing. */
  readonly memory?: ListMemory;
  /**
   * Where kernels are compiled for each recording: resolves when all are, rejects with what failed. A list may be submitted
   * before; its passes wait. Absent: it is ready.
   */
  ready?(onProgress?: (compiled: number, total: number) => void): Promise<void>;
  dispose(): void;
}

/** What one kernel of a profiled pass took. */
export interface KernelTiming {
  /** Index into the recorded ops. */
  readonly op: number;
  /** Kernel, types and shape. */
  readonly label: string;
  readonly seconds: number;
  /** Bytes of weights that it read. */
  readonly weightBytes: number;
}

/** What a copy or a submit returns; another may wait for it on the device. Opaque; each backend has its own. */
export interface Fence {
  readonly backend: DeviceInfo['backend'];
}

/** A pass that has begun before the host knew its token. */
export interface DrawnPass {
  readonly fence: Fence;
  /** What the token was drawn from, as read() gives it, with the token (outputs.ts). */
  readonly candidates: Promise<ArrayBuffer>;
}

export interface Backend {
  readonly device: DeviceInfo;
  /** Throws NtxError('no-memory'). Contents are zero. */
  allocateDevice(bytes: number, label: string): DeviceMemory;
  /** Throws NtxError('no-memory'). Contents are zero. */
  allocateHost(bytes: number, label: string): HostMemory;
  /**
   * Host memory that the host only writes: reading it is slow, and on some machines the device copies from it faster. Absent:
   * there is none.
   */
  allocateWriteCombined?(bytes: number, label: string): HostMemory;
  /**
   * Pages that exist already, as host memory of this device until it is freed: the CPU computes with the same bytes that the
   * device copies from. Throws NtxError('no-memory'). Absent: the host may not read what the device copies from (WebGPU).
   */
  registerHost?(pages: Uint8Array, label: string): HostMemory;
  /**
   * Memory of an embedding table, filled like host memory: `embed` reads the rows of a pass out of it and it never takes
   * device memory. Absent: allocateHost.
   */
  allocateTable?(bytes: number, label: string): HostMemory;
  /**
   * Checks every op against its bindings (shapes, types, ranges) and throws NtxError('internal') on a mismatch. An activation
   * that the next op of the list reads and no later one may be left in another form than f32.
   *
   * `cuts`: ascending indices of the ops with which the second and later segments begin, each of which is submitted by itself.
   * Matrices that an op of a segment multiplies with are read while that segment runs; norms, biases and activations may be
   * read or written by the segment beside it as well, where ops are fused over the border. Results do not depend on cuts.
   *
   * `breaks`: those cuts over which nothing is fused. What lies before one has written all its activations as f32, and what lies
   * behind it takes them up as they are then: somebody else may change them in between.
   */
  record(ops: readonly Op[], bindings: Bindings, cuts?: readonly number[], breaks?: readonly number[]): CommandList;
  /**
   * Behind `after`, a fence of a submit, a copy runs beside other submits where the device can do both at once. Without it,
   * it runs in the order of the calls.
   */
  copy(from: HostRange, to: DeviceRange, after?: Fence): Fence;
  /**
   * Submits run in the order of their calls, behind the copies in `after`. The step buffer is copied before this returns.
   * The segments of a list are submitted one by one in their order, all of a pass with the same step, and no other submit of
   * the list comes between them.
   */
  submit(list: CommandList, step: StepBuffer, after?: readonly Fence[], segment?: number): Fence;
  /**
   * A turn of the host in the order of submits, with nobody to wake: the range's bytes are copied into `host` behind its first
   * TURN_HEADER bytes (turns.ts), whose words say that it is the host's turn; when they say that it has been done, the bytes are
   * copied back. `host` comes from registerHost(). Turns of a memory count up from 1. Absent: whoever needs the host reads, waits
   * and copies.
   */
  handOver?(range: DeviceRange, host: HostMemory, turn: number): Fence;
  /**
   * The other side of handOver(), of a backend that computes in the host's memory: submits a segment that runs when `turn` has
   * come, and says when it has been done; also where it is not run any more, since the backend is disposed.
   */
  takeTurn?(list: CommandList, step: StepBuffer, segment: number, words: HostMemory, turn: number): Fence;
  /** When a turn, whose fence has completed not long ago, began and ended to compute: milliseconds of performance.now(). */
  turnTimes?(fence: Fence): { began: number; ended: number };
  /**
   * Goes on without the host: behind everything submitted so far the device draws a token from the first output in `candidates`
   * (outputs.ts), the candidates are read with it, and `step` is run, whose only row is of that token, whatever it says itself. The
   * host draws as well: of f32 instead of doubles another token comes now and then, and the pass is in vain. null: the list cannot,
   * since the host gathers what it embeds, or there is something to wait for. Absent: the device cannot draw.
   */
  submitDrawn?(list: CommandList, step: StepBuffer, candidates: DeviceRange, sampling: Sampling): DrawnPass | null;
  /** A copy of the range's bytes, after everything submitted so far. */
  read(range: DeviceRange): Promise<ArrayBuffer>;
  wait(fence: Fence): Promise<void>;
  /** Bytes a second that plain reads of `bytes` of device memory reach: the bound of a decode. Absent: it cannot be measured. */
  measureReadBandwidth?(bytes: number): Promise<number>;
  /** Bytes of device memory that nobody has, and all of it. Absent: the device does not say. */
  memory?(): { free: number; total: number };
  /** Runs all of a pass with a clock on every kernel, which makes it slower. Absent: the device has none. */
  profile?(list: CommandList, step: StepBuffer): Promise<readonly KernelTiming[]>;
  /** Frees everything, after the pass that is running. */
  dispose(): Promise<void>;
}
