// The CUDA backend: native kernels, passes as graphs. JavaScript only enqueues; what it waits for, a thread of the addon
// watches.
//
// Order: passes, reads and copies without a fence run on one stream, in the order of their calls. A copy that is given a
// fence runs beside them, on a stream of its own, behind that fence; whoever uses what it copied gives its fence to
// submit(). That is how weights are streamed while kernels run.
import { NtxError } from '../../errors.js';
import type {
  Backend,
  Bindings,
  CommandList,
  DeviceInfo,
  DeviceRange,
  DrawnPass,
  Fence,
  HostMemory,
  HostRange,
  KernelTiming,
  ListMemory,
} from '../backend.js';
import { checkStep, type StepLimits, stepLimits } from '../check-step.js';
import { encodeOps } from '../encode-ops.js';
import type { Op } from '../ops.js';
import { type Sampling, samplingWords } from '../sampling.js';
import { type Segment, segmentAt, segmentsOf } from '../segments.js';
import type { StepBuffer } from '../step.js';
import { COMPUTE, COPIES, type NativeEngine, type NativeList, type StreamNumber } from './binding.js';
import { type ChosenDevice, chooseDevice } from './choose-device.js';
import { asNtx, deviceFailure } from './errors.js';
import { fusedOps } from './fusion.js';
import { labelOf, weightBytesOf } from './labels.js';
import { cudaListMemory } from './list-memory.js';
import { CudaHostMemory, CudaMemory, checkRange, nativeOf, type Owner, ownMemory } from './memory.js';
import { Tickets } from './tickets.js';

/** Offsets that kernels rely on; matrices have it from GGUF. */
const ALIGNMENT = 32;

/** Opens the first device that the built kernels run on. Throws NtxError('no-backend') with the reason why there is none. */
export function createCudaBackend(): CudaBackend {
  try {
    return new CudaBackend(chooseDevice());
  } catch (error) {
    if (error instanceof NtxError) throw error;
    const { message } = error as Error;
    const advice = 'see what nvidia-smi says, or choose --backend webgpu or --backend cpu';
    throw new NtxError('no-backend', `the cuda backend is not there: ${message}`, advice, { cause: error });
  }
}

class CudaList implements CommandList {
  readonly opCount: number;
  /** By what the addon allocates for these shapes; it does not say. */
  readonly memory: ListMemory;

  constructor(
    readonly native: NativeList,
    readonly limits: StepLimits,
    readonly ops: readonly Op[],
    readonly bindings: Bindings,
    /** Ops that are part of the next one, or may be. */
    readonly fused: ReadonlySet<number>,
    readonly segments: readonly Segment[],
    readonly onDispose: (list: CudaList) => void,
  ) {
    this.opCount = ops.length;
    this.memory = cudaListMemory({ ...bindings, ops });
  }

  dispose(): void {
    this.native.dispose();
    this.onDispose(this);
  }
}

interface CudaFence extends Fence {
  readonly stream: StreamNumber;
  readonly ticket: number;
}

export class CudaBackend implements Backend {
  readonly device: DeviceInfo;
  /** Absent where the driver lets no stream wait for a word. */
  readonly handOver?: NonNullable<Backend['handOver']>;
  readonly #owner: Owner;
  readonly #engine: NativeEngine;
  readonly #tickets: Tickets;
  readonly #memories = new Set<CudaMemory>();
  readonly #lists = new Set<CudaList>();
  #disposed: Promise<void> | null = null;

  constructor({ addon, index, device }: ChosenDevice) {
    this.#engine = new addon.Engine(index, (compute, copies, failure) => {
      this.#tickets.complete(compute, copies, failure === null ? null : deviceFailure(failure));
    });
    this.#tickets = new Tickets(this.#engine);
    this.#owner = { addon, engine: this.#engine, release: (memory) => this.#memories.delete(memory) };
    this.device = {
      backend: 'cuda',
      name: `${device.name} (CUDA, sm_${device.major}${device.minor})`,
      kind: device.integrated ? 'integrated-gpu' : 'discrete-gpu',
      memoryBytes: device.memoryBytes,
      offsetAlignment: ALIGNMENT,
      hostIsDevice: false,
    };
    if (this.#engine.canHandOver()) this.handOver = (range, host, turn) => this.#handOver(range, host, turn);
  }

  allocateDevice(bytes: number, label: string): CudaMemory {
    this.#requireUsable();
    return this.#keep(new CudaMemory(this.#owner, bytes, label));
  }

  allocateHost(bytes: number, label: string): HostMemory {
    this.#requireUsable();
    return this.#keep(new CudaHostMemory(this.#owner, bytes, label));
  }

  allocateWriteCombined(bytes: number, label: string): HostMemory {
    this.#requireUsable();
    return this.#keep(new CudaHostMemory(this.#owner, bytes, label, true));
  }

  registerHost(pages: Uint8Array, label: string): HostMemory {
    this.#requireUsable();
    return this.#keep(new CudaHostMemory(this.#owner, pages, label));
  }

  record(
    ops: readonly Op[],
    bindings: Bindings,
    cuts: readonly number[] = [],
    breaks: readonly number[] = [],
  ): CommandList {
    this.#requireUsable();
    const segments = segmentsOf(ops.length, cuts);
    for (const [name, range] of bindings.buffers) requireAligned(name, range);
    for (const [name, { range, table }] of bindings.weights) requireAligned(name, table ?? range);
    const { bytes, memories } = encodeOps(ops, bindings);
    const natives = memories.map((memory) => ownMemory(memory).native);
    const fused = fusedOps(ops, bindings, breaks);
    const native = asNtx(
      'recording',
      () => new this.#owner.addon.OpList(this.#engine, bytes, natives, Uint32Array.from(fused), Uint32Array.from(cuts)),
    );
    const gone = (list: CudaList) => this.#lists.delete(list);
    const list = new CudaList(native, stepLimits(ops, bindings), [...ops], bindings, new Set(fused), segments, gone);
    this.#lists.add(list);
    return list;
  }

  copy(from: HostRange, to: DeviceRange, after?: Fence): Fence {
    this.#requireUsable();
    checkRange(from);
    checkRange(to);
    if (from.bytes !== to.bytes) {
      throw new NtxError('internal', `copy of ${from.bytes} bytes to a range of ${to.bytes}`, 'report this');
    }
    const stream = after === undefined ? COMPUTE : COPIES;
    const [source, target] = [nativeOf(from), nativeOf(to)];
    const behind = after === undefined ? 0 : latest([after], COMPUTE);
    return this.#fence('copy', stream, () =>
      this.#engine.copy(stream, source, from.offset, target, to.offset, from.bytes, behind),
    );
  }

  submit(list: CommandList, step: StepBuffer, after: readonly Fence[] = [], segment = 0): Fence {
    this.#requireUsable();
    const own = this.#ownList(list);
    checkStep(step, own.limits);
    segmentAt(own.segments, segment);
    const behind = latest(after, COPIES);
    return this.#fence('submit', COMPUTE, () => this.#engine.submit(own.native, step.words, behind, segment));
  }

  submitDrawn(list: CommandList, step: StepBuffer, candidates: DeviceRange, sampling: Sampling): DrawnPass | null {
    this.#requireUsable();
    const own = this.#ownList(list);
    checkStep(step, own.limits);
    checkRange(candidates);
    if (own.segments.length > 1 || !Number.isFinite(own.limits.tokens)) return null;
    const words = samplingWords(sampling, own.limits.tokens);
    const memory = nativeOf(candidates);
    const [pass, read, buffer] = asNtx('submit', () =>
      this.#engine.submitDrawn(own.native, step.words, words, memory, candidates.offset, candidates.bytes),
    );
    this.#tickets.enqueued(COMPUTE, pass);
    const fence: CudaFence = { backend: 'cuda', stream: COMPUTE, ticket: pass };
    return { fence, candidates: this.#take(read, buffer) };
  }

  async read(range: DeviceRange): Promise<ArrayBuffer> {
    this.#requireUsable();
    checkRange(range);
    const memory = nativeOf(range);
    const [ticket, buffer] = asNtx('read', () => this.#engine.read(memory, range.offset, range.bytes));
    this.#tickets.enqueued(COMPUTE, ticket);
    return this.#take(ticket, buffer);
  }

  async wait(fence: Fence): Promise<void> {
    const { stream, ticket } = ownFence(fence);
    await this.#tickets.wait(stream, ticket);
  }

  /** Runs a pass with an event between all launches. What is part of the next op has no entry of its own. */
  async profile(list: CommandList, step: StepBuffer): Promise<readonly KernelTiming[]> {
    this.#requireUsable();
    const { native, limits, ops, bindings, fused } = this.#ownList(list);
    checkStep(step, limits);
    const ticket = asNtx('profile', () => this.#engine.profile(native, step.words));
    this.#tickets.enqueued(COMPUTE, ticket);
    await this.#tickets.wait(COMPUTE, ticket);
    const pairs = asNtx('profile', () => this.#engine.timings(native));
    const timed = new Set(pairs.filter((_, i) => i % 2 === 0));
    return Array.from({ length: pairs.length / 2 }, (_, i) => {
      const index = pairs[2 * i];
      const op = ops[index];
      const before = fused.has(index - 1) && !timed.has(index - 1) ? `${ops[index - 1].kind} + ` : '';
      return {
        op: index,
        label: before + labelOf(op, bindings),
        seconds: pairs[2 * i + 1],
        weightBytes: weightBytesOf(op, bindings),
      };
    });
  }

  /** Bytes a second that a plain kernel reads from `bytes` of device memory: the bound of a decode. */
  async measureReadBandwidth(bytes: number): Promise<number> {
    this.#requireUsable();
    return asNtx('measuring', () => this.#engine.measureReadBandwidth(bytes));
  }

  memory(): { free: number; total: number } {
    this.#requireUsable();
    const [free, total] = asNtx('looking at the memory', () => this.#engine.memory());
    return { free, total };
  }

  /** Seconds of JavaScript's thread so far that were not work: it is awake a little before a pass ends, and waits. */
  settledSeconds(): number {
    return this.#engine.settledSeconds();
  }

  /** Makes the device fail for this process, for tests of what follows. */
  fault(): Fence {
    return this.#fence('fault', COMPUTE, () => this.#engine.fault());
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#close();
    return this.#disposed;
  }

  async #close(): Promise<void> {
    // What has been enqueued ends, or has failed: their fences say so.
    await this.#tickets.waitForAll().catch(() => {});
    for (const list of [...this.#lists]) list.dispose();
    for (const memory of [...this.#memories]) memory.free();
    this.#engine.close();
  }

  #fence(what: string, stream: StreamNumber, enqueue: () => number): CudaFence {
    const ticket = asNtx(what, enqueue);
    this.#tickets.enqueued(stream, ticket);
    return { backend: 'cuda', stream, ticket };
  }

  /** The bytes of a read. */
  async #take(ticket: number, buffer: number): Promise<ArrayBuffer> {
    await this.#tickets.wait(COMPUTE, ticket);
    return this.#engine.take(buffer);
  }

  #handOver(range: DeviceRange, host: HostMemory, turn: number): CudaFence {
    this.#requireUsable();
    checkRange(range);
    const [data, words] = [nativeOf(range), ownMemory(host).native];
    return this.#fence('hand-over', COMPUTE, () => this.#engine.handOver(data, range.offset, range.bytes, words, turn));
  }

  #ownList(list: CommandList): CudaList {
    if (list instanceof CudaList && this.#lists.has(list)) return list;
    throw new NtxError('internal', 'submit() of a list that is disposed or not of this backend', 'report this');
  }

  #requireUsable(): void {
    if (this.#disposed !== null) throw new NtxError('internal', 'the cuda backend has been disposed', 'report this');
    if (this.#tickets.failure) throw this.#tickets.failure;
  }

  #keep<T extends CudaMemory>(memory: T): T {
    this.#memories.add(memory);
    return memory;
  }
}

function requireAligned(name: string, { offset }: DeviceRange): void {
  if (offset % ALIGNMENT === 0) return;
  const message = `${name}: expected an offset that is a multiple of ${ALIGNMENT}, got ${offset}`;
  throw new NtxError('internal', message, 'report this');
}

function ownFence(fence: Fence): CudaFence {
  if (fence.backend === 'cuda') return fence as CudaFence;
  throw new NtxError('internal', `a fence of ${fence.backend} at the cuda backend`, 'report this');
}

/** The last ticket of a stream among the fences; 0 for none. Those of the other stream need no waiting. */
function latest(fences: readonly Fence[], stream: StreamNumber): number {
  let last = 0;
  for (const fence of fences) {
    const own = ownFence(fence);
    if (own.stream === stream) last = Math.max(last, own.ticket);
  }
  return last;
}
