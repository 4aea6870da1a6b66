import { BUILD_ADDONS } from '../../addon.js';
import { NtxError } from '../../errors.js';
import type {
  Backend,
  Bindings,
  CommandList,
  DeviceInfo,
  DeviceRange,
  Fence,
  HostMemory,
  HostRange,
  ListMemory,
} from '../backend.js';
import { checkStep, type StepLimits, stepLimits } from '../check-step.js';
import { encodeOps } from '../encode-ops.js';
import type { Op } from '../ops.js';
import { type Segment, segmentAt, segmentsOf } from '../segments.js';
import type { StepBuffer } from '../step.js';
import { type HostAddon, loadHostAddon, type NativeExecutor, type NativeList } from './binding.js';
import { cpuListMemory } from './list-memory.js';
import { asNtx, CpuMemory, nativeOf, ownMemory } from './memory.js';

const MAX_THREADS = 1024;
/**
 * Microseconds. Between two units on the CPU a device computes others; those that are streamed to it take milliseconds to come,
 * and threads that have slept take part of one to wake.
 */
const PATIENCE = 10_000;

export interface CpuOptions {
  /** Threads that compute; default: the physical cores that this process may use. */
  readonly threads?: number;
  /** Computes parts of passes of another device: threads spin a while for the next before they sleep. */
  readonly besideDevice?: boolean;
}

/**
 * The native CPU backend. Throws NtxError('no-backend') where its addon was not built, 'unsupported' where the system does not
 * start so many threads.
 */
export function createCpuBackend(options: CpuOptions = {}): CpuBackend {
  const addon = requireAddon();
  const threads = options.threads ?? addon.cpuInfo().cores;
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    const message = `threads: expected a whole number from 1 to ${MAX_THREADS}, got ${threads}`;
    throw new NtxError('bad-argument', message, 'leave it out to use every core');
  }
  return new CpuBackend(addon, threads, options.besideDevice ? PATIENCE : 0);
}

/** Names of the kernels that this processor can run, best first. */
export function cpuVariants(): readonly string[] {
  return requireAddon().cpuInfo().variants;
}

/** Makes all backends of this process use the named kernels, for tests and comparisons; not while a pass runs. */
export function useCpuVariant(name: string): void {
  if (requireAddon().useCpuVariant(name)) return;
  throw new NtxError('bad-argument', `"${name}" is not one of ${cpuVariants().join(', ')}`, 'choose one of these');
}

function requireAddon(): HostAddon {
  const loaded = loadHostAddon();
  if (loaded.addon !== null) return loaded.addon;
  const advice = `${BUILD_ADDONS}, which says what it needs, or choose --backend reference`;
  throw new NtxError('no-backend', `the cpu backend is not there: ${loaded.reason}`, advice);
}

function startExecutor(addon: HostAddon, ...[threads, ...rest]: ConstructorParameters<HostAddon['Executor']>) {
  try {
    return new addon.Executor(threads, ...rest);
  } catch (error) {
    const message = `the system does not start ${threads} threads: ${(error as Error).message}`;
    const advice = 'choose fewer with --threads, or raise the limit of processes ("ulimit -u", or the container\'s)';
    throw new NtxError('unsupported', message, advice, { cause: error });
  }
}

class CpuList implements CommandList {
  constructor(
    readonly native: NativeList,
    readonly limits: StepLimits,
    readonly opCount: number,
    readonly segments: readonly Segment[],
    readonly memory: ListMemory,
    readonly onDispose: (list: CpuList) => void,
  ) {}

  dispose(): void {
    this.native.dispose();
    this.onDispose(this);
  }
}

interface CpuFence extends Fence {
  readonly job: number;
}

interface Waiter {
  readonly job: number;
  resolve(): void;
  reject(reason: NtxError): void;
}

export class CpuBackend implements Backend {
  readonly device: DeviceInfo;
  /** That compute. */
  readonly threads: number;
  readonly #addon: HostAddon;
  readonly #executor: NativeExecutor;
  readonly #memories = new Set<CpuMemory>();
  readonly #lists = new Set<CpuList>();
  /** In the order of their jobs, as far as one caller waits after another. */
  #waiters: Waiter[] = [];
  #completed = 0;
  #disposed: Promise<void> | null = null;
  #onStopped: () => void = () => {};

  constructor(addon: HostAddon, threads: number, patience: number) {
    const info = addon.cpuInfo();
    this.#addon = addon;
    this.threads = threads;
    this.device = {
      backend: 'cpu',
      name: `${info.name}, ${threads} ${threads === 1 ? 'thread' : 'threads'}, ${info.variant}`,
      kind: 'cpu',
      memoryBytes: info.memoryBytes,
      hostIsDevice: true,
    };
    const onProgress = (completed: number, stopped: boolean) => this.#onProgress(completed, stopped);
    this.#executor = startExecutor(addon, threads, onProgress, patience);
  }

  allocateDevice(bytes: number, label: string): CpuMemory {
    return this.allocateHost(bytes, label);
  }

  allocateHost(bytes: number, label: string): CpuMemory {
    this.#requireOpen();
    const memory = new CpuMemory(this.#addon, bytes, label, (freed) => this.#memories.delete(freed));
    this.#memories.add(memory);
    return memory;
  }

  record(ops: readonly Op[], bindings: Bindings, cuts: readonly number[] = []): CommandList {
    this.#requireOpen();
    const segments = segmentsOf(ops.length, cuts);
    const { bytes, memories } = encodeOps(ops, bindings);
    const natives = memories.map((memory) => ownMemory(memory).native);
    const native = asNtx('recording', () => new this.#addon.OpList(bytes, natives, this.threads));
    const memory = cpuListMemory({ ...bindings, ops }, this.threads);
    const onDispose = (gone: CpuList) => this.#lists.delete(gone);
    const list = new CpuList(native, stepLimits(ops, bindings), ops.length, segments, memory, onDispose);
    this.#lists.add(list);
    return list;
  }

  copy(from: HostRange, to: DeviceRange, after?: Fence): Fence {
    this.#requireOwn(after === undefined ? [] : [after]);
    if (from.bytes !== to.bytes) {
      throw new NtxError('internal', `copy of ${from.bytes} bytes to a range of ${to.bytes}`, 'report this');
    }
    return this.#fence('copy', () =>
      this.#executor.copy(nativeOf(from), from.offset, nativeOf(to), to.offset, from.bytes),
    );
  }

  submit(list: CommandList, step: StepBuffer, after: readonly Fence[] = [], segment = 0): Fence {
    this.#requireOwn(after);
    const { native, segments } = this.#checked(list, step);
    const [first, end] = segmentAt(segments, segment);
    return this.#fence('submit', () => this.#executor.submit(native, step.words, first, end));
  }

  takeTurn(list: CommandList, step: StepBuffer, segment: number, words: HostMemory, turn: number): Fence {
    const { native, segments } = this.#checked(list, step);
    const [first, end] = segmentAt(segments, segment);
    const memory = ownMemory(words).native;
    return this.#fence('turn', () => this.#executor.takeTurn(native, step.words, first, end, memory, turn));
  }

  turnTimes(fence: Fence): { began: number; ended: number } {
    this.#requireOwn([fence]);
    const [began, ended] = this.#executor.turnSpan((fence as CpuFence).job);
    const now = performance.now();
    return { began: now - 1000 * began, ended: now - 1000 * ended };
  }

  async read(range: DeviceRange): Promise<ArrayBuffer> {
    const target = new Uint8Array(range.bytes);
    await this.wait(this.#fence('read', () => this.#executor.read(nativeOf(range), range.offset, target)));
    return target.buffer;
  }

  wait(fence: Fence): Promise<void> {
    this.#requireOwn([fence]);
    const { job } = fence as CpuFence;
    if (job <= this.#completed) return Promise.resolve();
    if (this.#disposed !== null) return Promise.reject(cancelled());
    return new Promise((resolve, reject) => {
      this.#waiters.push({ job, resolve, reject });
    });
  }

  /** Bytes a second that all threads together read from `bytes` of memory: the bound of a decode. Takes its turn. */
  async measureReadBandwidth(bytes: number): Promise<number> {
    const target = new Float64Array(1);
    await this.wait(this.#fence('measuring', () => this.#executor.measureReadBandwidth(bytes, target)));
    return target[0];
  }

  /** Frees everything after the pass that is running; passes that have not begun are dropped, and their waits rejected. */
  dispose(): Promise<void> {
    this.#disposed ??= new Promise<void>((resolve) => {
      this.#onStopped = resolve;
      this.#executor.stop();
    }).then(() => {
      for (const list of [...this.#lists]) list.dispose();
      for (const memory of [...this.#memories]) memory.free();
    });
    return this.#disposed;
  }

  #checked(list: CommandList, step: StepBuffer): CpuList {
    if (!(list instanceof CpuList) || !this.#lists.has(list)) {
      throw new NtxError('internal', 'submit() of a list that is disposed or not of this backend', 'report this');
    }
    checkStep(step, list.limits);
    return list;
  }

  #onProgress(completed: number, stopped: boolean): void {
    this.#completed = completed;
    const waiting = this.#waiters;
    this.#waiters = waiting.filter(({ job }) => job > completed);
    for (const { job, resolve } of waiting) if (job <= completed) resolve();
    if (!stopped) return;
    for (const { reject } of this.#waiters) reject(cancelled());
    this.#waiters = [];
    this.#onStopped();
  }

  #fence(what: string, enqueue: () => number): CpuFence {
    this.#requireOpen();
    return { backend: 'cpu', job: asNtx(what, enqueue) };
  }

  #requireOpen(): void {
    if (this.#disposed !== null) throw new NtxError('internal', 'the cpu backend has been disposed', 'report this');
  }

  /** Jobs run in order, so that waiting for an earlier one needs nothing; another backend's fence means nothing here. */
  #requireOwn(fences: readonly Fence[]): void {
    for (const { backend } of fences) {
      if (backend !== 'cpu') throw new NtxError('internal', `a fence of ${backend} at the cpu backend`, 'report this');
    }
  }
}

function cancelled(): NtxError {
  return new NtxError('cancelled', 'the cpu backend was disposed before the pass began', 'open the model again');
}
