import { totalmem } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { NtxError } from '../../errors.js';
import type { Backend, Bindings, CommandList, DeviceRange, Fence, HostMemory, HostRange } from '../backend.js';
import { checkOps } from '../check-ops.js';
import { checkStep, type StepLimits, stepLimits } from '../check-step.js';
import type { Op } from '../ops.js';
import { type Segment, segmentAt, segmentsOf } from '../segments.js';
import { StepBuffer } from '../step.js';
import { DEVICE_WORD, HOST_WORD, hasCome, TURN_HEADER } from '../turns.js';
import { attention } from './attention.js';
import { embed } from './embed.js';
import { gatedMatmul } from './gated-matmul.js';
import { matmul } from './matmul.js';
import { bytesOf, checkRange, ReferenceMemory, Views } from './memory.js';
import { rmsNorm } from './rms-norm.js';
import { ropeKvWrite } from './rope-kv-write.js';
import { topK } from './top-k.js';

/** Milliseconds of computing after which timers, signals and other requests get their turn. */
const SLICE = 10;

/**
 * The definition of every op (law 7), in plain TypeScript on one thread: sums in double precision, rounded to f32 where an
 * activation is written and to f16 in the KV caches. Other backends are compared with it; it also serves small models
 * where there is no compiled addon.
 */
export function createReferenceBackend(): Backend {
  return new ReferenceBackend();
}

class ReferenceList implements CommandList {
  readonly opCount: number;
  readonly limits: StepLimits;
  readonly views: Views;
  readonly segments: readonly Segment[];
  disposed = false;

  constructor(
    readonly ops: readonly Op[],
    bindings: Bindings,
    cuts: readonly number[],
  ) {
    this.opCount = ops.length;
    this.segments = segmentsOf(ops.length, cuts);
    this.limits = stepLimits(ops, bindings);
    this.views = new Views(bindings);
  }

  dispose(): void {
    this.disposed = true;
  }
}

interface ReferenceFence extends Fence {
  readonly done: Promise<void>;
}

class ReferenceBackend implements Backend {
  readonly device = {
    backend: 'reference',
    name: 'reference (plain TypeScript, 1 thread)',
    kind: 'cpu',
    memoryBytes: totalmem(),
    hostIsDevice: true,
  } as const;

  /** Everything submitted so far. It stays rejected once a pass has failed: what the memory holds is unknown then. */
  #queue: Promise<void> = Promise.resolve();
  #memories = new Set<ReferenceMemory>();

  allocateDevice(bytes: number, label: string): ReferenceMemory {
    return this.allocateHost(bytes, label);
  }

  allocateHost(bytes: number, label: string): ReferenceMemory {
    const memory = new ReferenceMemory(bytes, label, (freed) => this.#memories.delete(freed));
    this.#memories.add(memory);
    return memory;
  }

  registerHost(pages: Uint8Array, label: string): ReferenceMemory {
    const memory = new ReferenceMemory(pages, label, (freed) => this.#memories.delete(freed));
    this.#memories.add(memory);
    return memory;
  }

  record(ops: readonly Op[], bindings: Bindings, cuts: readonly number[] = []): CommandList {
    checkOps(ops, bindings);
    return new ReferenceList([...ops], bindings, cuts);
  }

  copy(from: HostRange, to: DeviceRange): Fence {
    checkRange(from);
    checkRange(to);
    if (from.bytes !== to.bytes) {
      throw new NtxError('internal', `copy of ${from.bytes} bytes to a range of ${to.bytes}`, 'report this');
    }
    return this.#enqueue(async () => bytesOf(to).set(bytesOf(from)));
  }

  submit(list: CommandList, step: StepBuffer, _after: readonly Fence[] = [], segment = 0): Fence {
    if (!(list instanceof ReferenceList) || list.disposed) {
      throw new NtxError('internal', 'submit() of a list that is disposed or not of this backend', 'report this');
    }
    checkStep(step, list.limits);
    const copy = new StepBuffer(step.maxRows, step.maxOutputs);
    copy.words.set(step.words);
    const ops = list.ops.slice(...segmentAt(list.segments, segment));
    return this.#enqueue(() => runOps(ops, list.views, copy));
  }

  handOver(range: DeviceRange, host: HostMemory, turn: number): Fence {
    checkRange(range);
    const memory = checkRange({ memory: host, offset: 0, bytes: TURN_HEADER + range.bytes });
    return this.#enqueue(async () => {
      const shared = memory.view(TURN_HEADER, range.bytes);
      const { buffer, byteOffset } = memory.view(0, TURN_HEADER);
      const words = new Uint32Array(buffer, byteOffset, TURN_HEADER / 4);
      shared.set(bytesOf(range));
      words[DEVICE_WORD / 4] = turn;
      while (!hasCome(words[HOST_WORD / 4], turn)) await nextTurn();
      bytesOf(range).set(shared);
    });
  }

  async read(range: DeviceRange): Promise<ArrayBuffer> {
    checkRange(range);
    await this.#queue;
    const copy = new Uint8Array(range.bytes);
    copy.set(bytesOf(range));
    return copy.buffer;
  }

  wait(fence: Fence): Promise<void> {
    return (fence as ReferenceFence).done;
  }

  async dispose(): Promise<void> {
    // A failed pass has been reported by its fence.
    await this.#queue.catch(() => {});
    for (const memory of [...this.#memories]) memory.free();
  }

  #enqueue(work: () => Promise<void>): ReferenceFence {
    const done = this.#queue.then(work);
    // Whoever waits or reads sees the failure; until then it is not an unhandled one.
    done.catch(() => {});
    this.#queue = done;
    return { backend: 'reference', done };
  }
}

async function runOps(ops: readonly Op[], views: Views, step: StepBuffer): Promise<void> {
  let sliceEnd = performance.now() + SLICE;
  for (const op of ops) {
    for (const _ of run(op, views, step)) {
      if (performance.now() < sliceEnd) continue;
      await nextTurn();
      sliceEnd = performance.now() + SLICE;
    }
  }
}

/** Runs an op; it yields wherever it may pause. */
function run(op: Op, views: Views, step: StepBuffer): Generator<void> {
  switch (op.kind) {
    case 'embed':
      return embed(op, views, step);
    case 'rms-norm':
      return rmsNorm(op, views, step);
    case 'matmul':
      return matmul(op, views, step);
    case 'gated-matmul':
      return gatedMatmul(op, views, step);
    case 'rope-kv-write':
      return ropeKvWrite(op, views, step);
    case 'attention':
      return attention(op, views, step);
    case 'top-k':
      return topK(op, views, step);
  }
}
