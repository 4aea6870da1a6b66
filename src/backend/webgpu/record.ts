// Ops to kernels: plans, pipelines (compiled in parallel, shared by equal kernels of all lists) and bind groups, made once.
import { NtxError } from '../../errors.js';
import { typeBytes } from '../../gguf/types.js';
import type { Bindings, PassSizes } from '../backend.js';
import { checkOps } from '../check-ops.js';
import { stepLimits } from '../check-step.js';
import type { Op } from '../ops.js';
import { segmentsOf } from '../segments.js';
import { StepBuffer } from '../step.js';
import { flowOf } from './flow.js';
import type { BindingSlot, DeviceFacts, Dispatch, KernelPlan } from './kernel.js';
import { gatheredStride } from './kernels/embed.js';
import { planOp } from './kernels/plan-op.js';
import { Compilation, type Compiled, type CompiledPlan, type EmbedSource, GpuList, type StepMemory } from './list.js';
import { GpuMemory, type Owner, TableMemory, USAGE } from './memory.js';

type BindingType = 'storage' | 'read-only-storage' | 'uniform';

/** A slot with its buffer. */
interface Bound {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
  readonly type: BindingType;
}

interface Module {
  readonly value: GPUShaderModule;
  /** What WGSL's compiler had to say has been kept. */
  readonly settled: Promise<void>;
}

interface Pipeline {
  value: GPUComputePipeline | null;
  readonly compiled: Promise<void>;
}

/** The buffers of one list that are not the caller's. */
interface ListBuffers {
  readonly step: GPUBuffer;
  /** Bytes of the step itself. */
  readonly stepBytes: number;
  readonly scratch: GPUBuffer | null;
  /** Where the rows of an embedding op lie in the step buffer. */
  readonly embedded: ReadonlyMap<number, { readonly offset: number; readonly size: number }>;
}

const COMPUTE_STAGE = 0x4;

export class Recorder {
  readonly #modules = new Map<string, Module>();
  readonly #pipelines = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, { bindings: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();
  readonly #codeNumbers = new Map<string, number>();

  constructor(
    private readonly owner: Owner,
    private readonly facts: DeviceFacts,
  ) {}

  /** Throws NtxError('internal' or 'unsupported') naming the op. What the device finds wrong comes out of ready(). */
  record(ops: readonly Op[], bindings: Bindings, cuts: readonly number[], breaks: readonly number[]): GpuList {
    checkOps(ops, bindings);
    const segments = segmentsOf(ops.length, cuts);
    const flows = flowOf(ops, bindings, this.facts, breaks);
    const plans = ops.map((op, i) => this.#named(op, i, () => planOp(op, bindings, this.facts, flows[i])));
    const memories: GpuMemory[] = [];
    const allocate = (bytes: number, label: string, usage?: number) => {
      const memory = new GpuMemory(this.owner, bytes, label, usage);
      memories.push(memory);
      return memory.buffer;
    };
    const free = () => {
      for (const memory of memories) memory.free();
    };
    try {
      const { memory, buffers } = this.#allocate(ops, plans, bindings, allocate);
      const jobs = new Set<Promise<unknown>>();
      // Dawn's messages name the objects by their labels: one guard serves all.
      const { value: compiled, settled } = this.owner.health.guard('record', () =>
        plans.map((plan, index) =>
          this.#named(ops[index], index, () => this.#compile(plan, index, bindings.sizes, buffers, jobs)),
        ),
      );
      const bound = settled.then(() => this.owner.health.check());
      const compilation = new Compilation([...jobs], bound);
      const taken = { device: memories.reduce((sum, { bytes }) => sum + bytes, 0), host: memory.staged.length };
      return new GpuList(segments, stepLimits(ops, bindings), compiled, memory, compilation, taken, free);
    } catch (error) {
      free();
      throw error;
    }
  }

  /** What a list has of its own. */
  #allocate(
    ops: readonly Op[],
    plans: readonly KernelPlan[],
    bindings: Bindings,
    allocate: (bytes: number, label: string, usage?: number) => GPUBuffer,
  ): { memory: StepMemory; buffers: ListBuffers } {
    const { maxRows, maxOutputs } = bindings.sizes;
    const stepBytes = new StepBuffer(maxRows, maxOutputs).words.byteLength;
    const embeds = this.#embedSources(ops, bindings, stepBytes);
    const uploadBytes = [...embeds.values()].reduce((_, { offset, stride }) => offset + stride * maxRows, stepBytes);
    const scratchBytes = plans.reduce((most, plan) => Math.max(most, plan.scratchBytes), 0);
    const memory: StepMemory = {
      buffer: allocate(uploadBytes, 'step buffer', USAGE.STORAGE | USAGE.UNIFORM | USAGE.COPY_DST),
      staged: new Uint8Array(uploadBytes),
      embeds: [...embeds.values()],
    };
    const buffers: ListBuffers = {
      step: memory.buffer,
      stepBytes,
      scratch: scratchBytes > 0 ? allocate(scratchBytes, 'scratch') : null,
      embedded: new Map([...embeds].map(([op, { offset, stride }]) => [op, { offset, size: stride * maxRows }])),
    };
    return { memory, buffers };
  }

  #named<T>({ kind }: Op, index: number, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof NtxError)) throw error;
      throw new NtxError(error.code, `op ${index} (${kind}): ${error.message}`, error.advice, { cause: error });
    }
  }

  #embedSources(ops: readonly Op[], bindings: Bindings, stepBytes: number): Map<number, EmbedSource> {
    const sources = new Map<number, EmbedSource>();
    const { minStorageBufferOffsetAlignment: alignment } = this.facts.limits;
    let end = stepBytes;
    ops.forEach((op, index) => {
      if (op.kind !== 'embed') return;
      const { type, cols, range: product, table: range = product } = bindings.weights.get(op.table)!;
      const { memory } = range;
      if (!(memory instanceof TableMemory)) return;
      const rowBytes = typeBytes(type, cols);
      const stride = gatheredStride(rowBytes);
      const offset = Math.ceil(end / alignment) * alignment;
      end = offset + stride * bindings.sizes.maxRows;
      const row = (token: number) => memory.view(range.offset + token * rowBytes, rowBytes);
      sources.set(index, { row, stride, offset });
    });
    return sources;
  }

  #compile(
    plan: KernelPlan,
    op: number,
    sizes: PassSizes,
    buffers: ListBuffers,
    jobs: Set<Promise<unknown>>,
  ): CompiledPlan {
    const variants = plan.variants.map(({ maxRows, dispatches }) => ({
      maxRows,
      dispatches: dispatches.map((dispatch): Compiled => {
        const bound = dispatch.bindings.map((slot) => this.#bind(slot, op, buffers));
        checkAccess(dispatch, bound);
        this.#checkGroups(dispatch, maxRows, sizes.context);
        const layout = this.#layout(bound);
        const pipeline = this.#pipeline(dispatch, layout);
        jobs.add(pipeline.compiled);
        const bindGroup = this.owner.device.createBindGroup({
          label: dispatch.label,
          layout: layout.bindings,
          entries: bound.flatMap((each, binding) =>
            each ? [{ binding, resource: { buffer: each.buffer, offset: each.offset, size: each.size } }] : [],
          ),
        });
        return { op, dispatch, pipeline, bindGroup };
      }),
    }));
    return { over: plan.over, variants };
  }

  #bind(slot: BindingSlot, op: number, { step, stepBytes, scratch, embedded }: ListBuffers): Bound | null {
    const whole = (buffer: GPUBuffer | null | undefined, type: BindingType): Bound => {
      if (!buffer) throw new NtxError('internal', `the plan binds ${slot} and does not ask for it`, 'report this');
      const bound = { buffer, offset: 0, size: buffer.size, type } as const;
      this.#checkLimits(bound, buffer.label);
      return bound;
    };
    switch (slot) {
      case null:
        return null;
      case 'step':
        return { buffer: step, offset: 0, size: stepBytes, type: 'read-only-storage' };
      case 'counts':
        return { buffer: step, offset: 0, size: 16, type: 'uniform' };
      case 'scratch':
        return whole(scratch, 'storage');
      case 'scratch-read':
        return whole(scratch, 'read-only-storage');
      case 'embedded':
        return { buffer: step, ...embedded.get(op)!, type: 'read-only-storage' };
      default: {
        const { range, access } = slot;
        const type = access === 'read' ? 'read-only-storage' : 'storage';
        const { memory, offset } = range;
        if (!(memory instanceof GpuMemory)) {
          throw new NtxError('internal', `${memory.label} is not device memory of this backend`, 'report this');
        }
        const bound = { buffer: memory.buffer, offset, size: Math.ceil(range.bytes / 4) * 4, type } as const;
        this.#checkLimits(bound, memory.label);
        return bound;
      }
    }
  }

  #checkLimits({ offset, size }: Bound, label: string): void {
    const { minStorageBufferOffsetAlignment: alignment, maxStorageBufferBindingSize: limit } = this.facts.limits;
    if (offset % alignment !== 0) {
      const message = `${label}: expected an offset that is a multiple of ${alignment}, got ${offset}`;
      throw new NtxError('internal', message, 'report this');
    }
    if (size > limit) {
      throw new NtxError(
        'unsupported',
        `${label}: ${size} bytes exceed the device's bindings of ${limit}`,
        'choose a smaller context or batch, another --adapter, or --backend cpu',
      );
    }
  }

  #checkGroups({ label, groups }: Dispatch, rows: number, positions: number): void {
    const limit = this.facts.limits.maxComputeWorkgroupsPerDimension;
    const most = Math.max(...groups(rows, positions));
    if (most <= limit) return;
    const message = `${label}: ${most} workgroups for ${rows} rows; the device takes ${limit}`;
    throw new NtxError('unsupported', message, 'choose smaller passes (maxRows)');
  }

  /** Layouts are made here and not by the pipelines, so that bind groups need not wait for them. */
  #layout(bound: readonly (Bound | null)[]) {
    const key = bound.map((each) => each?.type ?? '-').join();
    let layout = this.#layouts.get(key);
    if (!layout) {
      const { device, health } = this.owner;
      layout = health.guard(`bindings ${key}`, () => {
        const bindings = device.createBindGroupLayout({
          label: key,
          entries: bound.flatMap((each, binding) =>
            each ? [{ binding, visibility: COMPUTE_STAGE, buffer: { type: each.type } }] : [],
          ),
        });
        return { bindings, pipeline: device.createPipelineLayout({ label: key, bindGroupLayouts: [bindings] }) };
      }).value;
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  #pipeline(dispatch: Dispatch, layout: { pipeline: GPUPipelineLayout }): Pipeline {
    const { code, constants, label } = dispatch;
    let number = this.#codeNumbers.get(code);
    if (number === undefined) {
      number = this.#codeNumbers.size;
      this.#codeNumbers.set(code, number);
    }
    const key = `${number}/${layout.pipeline.label}/${JSON.stringify(constants)}`;
    const known = this.#pipelines.get(key);
    if (known) return known;
    const module = this.#module(code, label);
    const { device, health } = this.owner;
    const compile = async () => {
      const compute = { module: module.value, constants: { ...constants } };
      try {
        pipeline.value = await device.createComputePipelineAsync({ label, layout: layout.pipeline, compute });
      } catch (error) {
        // A module that is invalid says why, and a pipeline of it only that it is.
        await module.settled;
        const failure = health.explain(error, label);
        health.fail(failure);
        throw failure;
      }
    };
    const pipeline: Pipeline = { value: null, compiled: Promise.resolve().then(compile) };
    // Reported by ready() of every list that uses it.
    pipeline.compiled.catch(() => {});
    this.#pipelines.set(key, pipeline);
    return pipeline;
  }

  #module(code: string, label: string): Module {
    let module = this.#modules.get(code);
    if (!module) {
      module = this.owner.health.guard(label, () => this.owner.device.createShaderModule({ label, code }));
      this.#modules.set(code, module);
    }
    return module;
  }
}

/** WebGPU wants one kind of use of a buffer in a dispatch, and says so only at the first submit. */
function checkAccess({ label }: Dispatch, bound: readonly (Bound | null)[]): void {
  const types = new Map<GPUBuffer, boolean>();
  for (const each of bound) {
    if (!each) continue;
    const writes = each.type === 'storage';
    if ((types.get(each.buffer) ?? writes) !== writes) {
      throw new NtxError('internal', `${label}: ${each.buffer.label} is read and written`, 'give it two memories');
    }
    types.set(each.buffer, writes);
  }
}
