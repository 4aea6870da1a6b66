// The WebGPU backend: WGSL kernels on Dawn, one queue. A pass is one command buffer, with the readback that follows it.
import { totalmem } from 'node:os';
import { NtxError } from '../../errors.js';
import type {
  Backend,
  Bindings,
  CommandList,
  DeviceInfo,
  DeviceMemory,
  DeviceRange,
  DrawnPass,
  Fence,
  HostMemory,
  HostRange,
  KernelTiming,
} from '../backend.js';
import { checkStep } from '../check-step.js';
import type { Op } from '../ops.js';
import type { Sampling } from '../sampling.js';
import { segmentAt } from '../segments.js';
import { StepBuffer } from '../step.js';
import { type AdapterOptions, type OpenedDevice, openDevice } from './adapter.js';
import { Ahead } from './ahead.js';
import { closeGpu } from './binding.js';
import { Health } from './health.js';
import type { DeviceFacts } from './kernel.js';
import { GpuList, type Program } from './list.js';
import {
  allocationBytes,
  checkRange,
  GpuHostMemory,
  GpuMemory,
  type Owner,
  TableMemory,
  tableBytes,
  wholeWords,
} from './memory.js';
import { Pace } from './pace.js';
import { timePass } from './profile.js';
import { type Answer, ReadBack } from './read-back.js';
import { deviceReadBandwidth } from './read-bandwidth.js';
import { Recorder } from './record.js';
import { TokenSampler } from './sample.js';

/** Opens an adapter. Throws NtxError('no-backend') saying which there are and why none is taken. */
export async function createWebGpuBackend(options: AdapterOptions = {}): Promise<WebGpuBackend> {
  return new WebGpuBackend(await openDevice(options));
}

export class WebGpuBackend implements Backend {
  readonly device: DeviceInfo;
  readonly facts: DeviceFacts;
  readonly #opened: OpenedDevice;
  readonly #health: Health;
  readonly #owner: Owner;
  readonly #recorder: Recorder;
  readonly #readBack: ReadBack;
  readonly #ahead: Ahead;
  readonly #sampler: TokenSampler;
  readonly #pace = new Pace();
  readonly #memories = new Set<DeviceMemory>();
  /** Commands that the queue has not got yet: a read in the same turn joins them. */
  #encoder: GPUCommandEncoder | null = null;
  /** Calls that wait for a list to be compiled, and all that came after them. */
  #waiting: Promise<void> | null = null;
  #disposed: Promise<void> | null = null;

  constructor(opened: OpenedDevice) {
    const { device, entry, facts } = opened;
    this.#opened = opened;
    this.facts = facts;
    this.device = {
      backend: 'webgpu',
      name: `${entry.name} (${entry.api})`,
      kind: entry.kind,
      memoryBytes: entry.kind === 'software-gpu' ? totalmem() : 0,
      allocationBytes: allocationBytes(device.limits),
      tableBytes: tableBytes(device.limits),
      offsetAlignment: device.limits.minStorageBufferOffsetAlignment,
      hostIsDevice: false,
    };
    this.#health = new Health(device, entry.name);
    this.#owner = {
      device,
      health: this.#health,
      release: (memory, buffer) => this.#release(memory, buffer),
      drain: () => this.#drain(),
    };
    this.#recorder = new Recorder(this.#owner, facts);
    this.#readBack = new ReadBack(device, this.#health);
    this.#ahead = new Ahead(device, this.#readBack);
    this.#sampler = new TokenSampler(this.#owner);
  }

  allocateDevice(bytes: number, label: string): GpuMemory {
    return this.#keep(new GpuMemory(this.#owner, bytes, label));
  }

  allocateHost(bytes: number, label: string): HostMemory {
    return this.#keep(new GpuHostMemory(this.#owner, bytes, label));
  }

  allocateTable(bytes: number, label: string): HostMemory {
    return this.#keep(new TableMemory(this.#owner, bytes, label));
  }

  record(
    ops: readonly Op[],
    bindings: Bindings,
    cuts: readonly number[] = [],
    breaks: readonly number[] = [],
  ): CommandList {
    this.#health.check();
    const list = this.#recorder.record(ops, bindings, cuts, breaks);
    if (list.embedsAlone && list.segments.length === 1) this.#sampler.compile();
    return list;
  }

  copy(from: HostRange, to: DeviceRange): Fence {
    this.#health.check();
    checkRange(from);
    checkRange(to);
    const source = from.memory;
    const target = ownMemory(to);
    if (!(source instanceof GpuHostMemory)) {
      throw new NtxError('internal', `${source.label} is not host memory of this backend`, 'report this');
    }
    if (from.bytes !== to.bytes) {
      throw new NtxError('internal', `copy of ${from.bytes} bytes to a range of ${to.bytes}`, 'report this');
    }
    const bytes = Math.max(wholeWords(from), wholeWords(to));
    source.unmap();
    return this.#inOrder(() => {
      this.#commands().copyBufferToBuffer(source.buffer, from.offset, target.buffer, to.offset, bytes);
    });
  }

  submit(list: CommandList, step: StepBuffer, _after: readonly Fence[] = [], segment = 0): Fence {
    this.#health.check();
    const own = ownList(list);
    checkStep(step, own.limits);
    segmentAt(own.segments, segment);
    if (own.isReady && !this.#waiting) {
      this.#encodeSegment(own, step, segment);
      return this.#fence();
    }
    const copy = copyStep(step);
    return this.#inOrder(() => this.#encodeSegment(own, copy, segment), own.ready());
  }

  submitDrawn(list: CommandList, step: StepBuffer, candidates: DeviceRange, sampling: Sampling): DrawnPass | null {
    this.#health.check();
    const own = ownList(list);
    checkStep(step, own.limits);
    checkRange(candidates);
    const { buffer } = ownMemory(candidates);
    const isReady = this.#sampler.isReady && own.isReady && !this.#waiting;
    if (!isReady || !own.embedsAlone || own.segments.length > 1) return null;
    this.#flush();
    own.upload(this.#opened.device.queue, step);
    const encoder = this.#commands();
    this.#sampler.encode(encoder, own, candidates, sampling);
    const answer = this.#readBack.encode(encoder, { buffer, offset: candidates.offset, bytes: candidates.bytes });
    this.#ahead.skip();
    const program = own.program(step);
    this.#encodePieces(own, program, 0);
    this.#pace.follow(program);
    return { fence: this.#fence(), candidates: this.#fetch(answer) };
  }

  async read(range: DeviceRange): Promise<ArrayBuffer> {
    checkRange(range);
    const { buffer } = ownMemory(range);
    if (this.#waiting) await this.#waiting;
    this.#health.check();
    const start = Math.floor(range.offset / 4) * 4;
    const end = Math.ceil((range.offset + range.bytes) / 4) * 4;
    if (end === start) return new ArrayBuffer(0);
    const wordRange = { buffer, offset: start, bytes: end - start };
    const answer = this.#ahead.answer(wordRange) ?? this.#readBack.encode(this.#commands(), wordRange);
    this.#flush();
    this.#ahead.prepare(wordRange);
    const words = await this.#fetch(answer);
    const skipped = range.offset - start;
    return words.byteLength === range.bytes ? words : words.slice(skipped, skipped + range.bytes);
  }

  async wait(fence: Fence): Promise<void> {
    await (fence as GpuFence).done();
  }

  /** Runs a pass with timestamps around every dispatch. Throws NtxError('unsupported') without timestamp queries. */
  async profile(list: CommandList, step: StepBuffer): Promise<readonly KernelTiming[]> {
    const own = ownList(list);
    checkStep(step, own.limits);
    const copy = copyStep(step);
    await own.ready();
    await this.#drain();
    this.#health.check();
    own.upload(this.#opened.device.queue, copy);
    return timePass(this.#owner, this.#readBack, own.program(copy));
  }

  /** Bytes a second that a plain kernel reads; at most `bytes` and what one buffer can hold. */
  async measureReadBandwidth(bytes: number): Promise<number> {
    await this.#drain();
    this.#health.check();
    return deviceReadBandwidth(this.#opened.device, bytes);
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#close();
    return this.#disposed;
  }

  async #close(): Promise<void> {
    await this.#drain();
    // Failures have been reported by their fences.
    await this.#opened.device.queue.onSubmittedWorkDone().catch(() => {});
    for (const memory of [...this.#memories]) memory.free();
    this.#health.dispose();
    this.#opened.device.destroy();
    await this.#opened.device.lost;
    closeGpu(this.#opened.gpu);
  }

  #encodeSegment(list: GpuList, step: StepBuffer, segment: number): void {
    const program = list.program(step);
    if (segment === 0) {
      // What is uploaded now comes before everything that the queue has not got.
      this.#flush();
      const { queue } = this.#opened.device;
      list.upload(queue, step);
      this.#pace.start(program);
      if (program.segments.length === 1) {
        const prepared = this.#ahead.take(list, program);
        if (prepared) {
          for (const commands of prepared) queue.submit([commands]);
          return;
        }
      } else this.#ahead.skip();
    }
    this.#encodePieces(list, program, segment);
  }

  #encodePieces(list: GpuList, program: Program, segment: number): void {
    for (const [first, end] of program.segments[segment]) {
      this.#flush();
      const pass = this.#commands().beginComputePass();
      list.encode(pass, program, first, end);
      pass.end();
    }
  }

  /** What has been read, when the passes in front of it have run. */
  async #fetch(answer: Answer): Promise<ArrayBuffer> {
    await this.#pace.rest();
    const words = await answer.fetch();
    this.#pace.end();
    return words;
  }

  #commands(): GPUCommandEncoder {
    if (!this.#encoder) {
      this.#encoder = this.#opened.device.createCommandEncoder();
      queueMicrotask(() => this.#flush());
    }
    return this.#encoder;
  }

  #flush(): void {
    if (!this.#encoder) return;
    const commands = this.#encoder.finish();
    this.#encoder = null;
    this.#opened.device.queue.submit([commands]);
  }

  #release(memory: DeviceMemory, buffer: GPUBuffer | null): void {
    this.#memories.delete(memory);
    if (!buffer) return;
    if (this.#waiting) {
      void this.#drain().then(() => buffer.destroy());
      return;
    }
    this.#flush();
    buffer.destroy();
  }

  async #drain(): Promise<void> {
    if (this.#waiting) await this.#waiting;
    this.#flush();
  }

  /** Does `work` now, or after the calls that still wait; and not before `until`. */
  #inOrder(work: () => void, until?: Promise<void>): Fence {
    if (!until && !this.#waiting) {
      work();
      return this.#fence();
    }
    const turn: Promise<void> = Promise.all([this.#waiting, until])
      .then(() => {
        this.#health.check();
        work();
      })
      .catch((error: unknown) => this.#health.fail(this.#health.explain(error, 'submit')))
      .finally(() => {
        if (this.#waiting === turn) this.#waiting = null;
      });
    this.#waiting = turn;
    return this.#fence(turn);
  }

  #fence(encoded?: Promise<void>): GpuFence {
    return new GpuFence(async () => {
      await encoded;
      this.#health.check();
      this.#flush();
      try {
        await this.#opened.device.queue.onSubmittedWorkDone();
      } catch (error) {
        throw this.#health.explain(error, 'wait');
      }
      this.#health.check();
    });
  }

  #keep<T extends DeviceMemory>(memory: T): T {
    this.#memories.add(memory);
    return memory;
  }
}

/** Everything that was submitted when it is first waited for: a queue has no way back to one of its commands. */
class GpuFence implements Fence {
  readonly backend = 'webgpu';
  #done: Promise<void> | null = null;

  constructor(private readonly start: () => Promise<void>) {}

  done(): Promise<void> {
    this.#done ??= this.start();
    return this.#done;
  }
}

function ownList(list: CommandList): GpuList {
  if (list instanceof GpuList && !list.disposed) return list;
  throw new NtxError('internal', 'submit() of a list that is disposed or not of this backend', 'report this');
}

function ownMemory({ memory }: DeviceRange): GpuMemory {
  if (memory instanceof GpuMemory) return memory;
  throw new NtxError('internal', `${memory.label} is not device memory of this backend`, 'report this');
}

function copyStep(step: StepBuffer): StepBuffer {
  const copy = new StepBuffer(step.maxRows, step.maxOutputs);
  copy.words.set(step.words);
  return copy;
}
