import { NtxError } from '../../errors.js';
import type { CommandList, ListMemory } from '../backend.js';
import type { StepLimits } from '../check-step.js';
import type { Segment } from '../segments.js';
import type { StepBuffer } from '../step.js';
import type { Dispatch } from './kernel.js';

/** A dispatch with its pipeline (which comes later) and what is bound to it. */
export interface Compiled {
  readonly op: number;
  readonly dispatch: Dispatch;
  readonly pipeline: { value: GPUComputePipeline | null };
  readonly bindGroup: GPUBindGroup;
}

export interface CompiledPlan {
  readonly over: 'rows' | 'outputs';
  readonly variants: readonly { readonly maxRows: number; readonly dispatches: readonly Compiled[] }[];
}

/** An embedding table in host memory, of which each pass uploads the rows of its tokens. */
export interface EmbedSource {
  row(token: number): Uint8Array;
  /** Rows in the device buffer start at multiples of this: whole words. */
  readonly stride: number;
  /** Of the first row in the step buffer. */
  readonly offset: number;
}

/** What passes upload: the words of the step, then the rows of every embedding table. */
export interface StepMemory {
  readonly buffer: GPUBuffer;
  /** As many bytes as the buffer has. */
  readonly staged: Uint8Array<ArrayBuffer>;
  readonly embeds: readonly EmbedSource[];
}

/** The dispatches of a pass with so many rows and outputs, flat: encoding walks three arrays and allocates nothing. */
export interface Program {
  readonly compiled: readonly Compiled[];
  /** null: the one before is still set. */
  readonly pipelines: readonly (GPUComputePipeline | null)[];
  readonly bindGroups: readonly GPUBindGroup[];
  /** Three a dispatch. */
  readonly groups: Uint32Array;
  /** [first, end) of the dispatches of each piece that is submitted by itself, of each segment. */
  readonly segments: readonly (readonly Segment[])[];
}

/**
 * Where a pass is cut into pieces that are submitted one after the other. Dawn turns commands into the driver's when they are
 * submitted: the GPU starts with a small piece, and each lasts longer there than the next one takes here.
 */
const CUTS = [4, 20, 60];

/** Bytes that are written with one call: a second one costs more than bytes that nobody reads. */
const SMALL_UPLOAD = 32 << 10;
/** Positions of a pass are rounded up to this for groups(), so that a program lasts for many tokens. */
const POSITION_STEP = 256;
/** Programs that are kept: one for each batch size of a few that take turns. */
const PROGRAMS = 32;

export class GpuList implements CommandList {
  readonly #programs = new Map<number, Program>();
  #disposed = false;

  constructor(
    /** Of ops. */
    readonly segments: readonly Segment[],
    readonly limits: StepLimits,
    private readonly plans: readonly CompiledPlan[],
    private readonly steps: StepMemory,
    private readonly compilation: Compilation,
    readonly memory: ListMemory,
    private readonly onDispose: () => void,
  ) {}

  get opCount(): number {
    return this.segments.at(-1)![1];
  }

  /** The step on the device. */
  get step(): { readonly buffer: GPUBuffer } {
    return this.steps;
  }

  /** Tokens of its passes may be known to the device alone: it embeds without the host. */
  get embedsAlone(): boolean {
    return this.steps.embeds.length === 0 && Number.isFinite(this.limits.tokens);
  }

  /** All pipelines are there: encode() may be called. */
  get isReady(): boolean {
    return this.compilation.done;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  ready(onProgress?: (compiled: number, total: number) => void): Promise<void> {
    return this.compilation.ready(onProgress);
  }

  /** Writes what changes from pass to pass, ahead of everything that is submitted later. */
  upload(queue: GPUQueue, { rows, outputs, words, maxOutputs }: StepBuffer): void {
    const { buffer, staged, embeds } = this.steps;
    for (const { row, stride, offset } of embeds) {
      for (let r = 0; r < rows; r++) staged.set(row(words[4 + 4 * r]), offset + r * stride);
    }
    const end = embeds.reduce((most, { offset, stride }) => Math.max(most, offset + rows * stride), words.byteLength);
    if (end <= SMALL_UPLOAD) {
      new Uint32Array(staged.buffer, 0, words.length).set(words);
      queue.writeBuffer(buffer, 0, staged, 0, end);
      return;
    }
    const outputsAt = words.length - 2 * maxOutputs;
    queue.writeBuffer(buffer, 0, words, 0, 4 + 4 * rows);
    if (outputs > 0) queue.writeBuffer(buffer, outputsAt * 4, words, outputsAt, 2 * outputs);
    for (const { stride, offset } of embeds) {
      if (rows > 0) queue.writeBuffer(buffer, offset, staged, offset, rows * stride);
    }
  }

  /** Encodes dispatches `first` up to `end` of a program. */
  encode(
    pass: GPUComputePassEncoder,
    { compiled, pipelines, bindGroups, groups }: Program,
    first: number,
    end: number,
  ): void {
    for (let i = first; i < end; i++) {
      const pipeline = i === first ? compiled[i].pipeline.value : pipelines[i];
      if (pipeline !== null) pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroups[i]);
      pass.dispatchWorkgroups(groups[3 * i], groups[3 * i + 1], groups[3 * i + 2]);
    }
  }

  program({ rows, outputs, words }: StepBuffer): Program {
    let last = 0;
    for (let r = 0; r < rows; r++) last = Math.max(last, words[4 + 4 * r + 1]);
    const step = Math.ceil((last + 1) / POSITION_STEP);
    const positions = Math.min(step * POSITION_STEP, this.limits.sizes.context);
    const key = (rows * 2 ** 16 + outputs) * 2 ** 16 + step;
    let program = this.#programs.get(key);
    if (!program) {
      if (this.#programs.size >= PROGRAMS) this.#programs.delete(this.#programs.keys().next().value!);
      program = this.#flatten(rows, outputs, positions);
      this.#programs.set(key, program);
    }
    return program;
  }

  /** No pass of it may be submitted any more; passes that were keep what they need. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#programs.clear();
    this.onDispose();
  }

  #flatten(rows: number, outputs: number, positions: number): Program {
    const compiled: Compiled[] = [];
    const groups: number[] = [];
    for (const { over, variants } of this.plans) {
      const count = over === 'rows' ? rows : outputs;
      if (count === 0) continue;
      const variant = variants.find(({ maxRows }) => count <= maxRows);
      if (!variant) throw new NtxError('internal', `no kernel variant for ${count} ${over}`, 'report this');
      for (const each of variant.dispatches) {
        const size = each.dispatch.groups(count, positions);
        if (size.includes(0)) continue;
        compiled.push(each);
        groups.push(...size);
      }
    }
    return {
      compiled,
      pipelines: compiled.map(({ pipeline }, i) =>
        pipeline.value === compiled[i - 1]?.pipeline.value ? null : pipeline.value,
      ),
      bindGroups: compiled.map(({ bindGroup }) => bindGroup),
      groups: Uint32Array.from(groups),
      segments: this.segments.map((segment) => piecesOf(dispatchesOf(segment, compiled))),
    };
  }
}

/** The dispatches of a segment of ops; those of each op stand together, in the order of the ops. */
function dispatchesOf([first, end]: Segment, compiled: readonly Compiled[]): Segment {
  const from = (op: number) => {
    const index = compiled.findIndex((each) => each.op >= op);
    return index < 0 ? compiled.length : index;
  };
  return [from(first), from(end)];
}

function piecesOf([first, end]: Segment): Segment[] {
  const cuts = [first, ...CUTS.map((cut) => first + cut).filter((cut) => cut < end), end];
  return cuts.slice(1).map((next, i) => [cuts[i], next]);
}

/** The pipelines of a list on their way. */
export class Compilation {
  #done = false;
  #compiled = 0;
  readonly #listeners = new Set<(compiled: number, total: number) => void>();
  readonly #all: Promise<void>;

  /** `bound`: the device has accepted all that the pipelines are used with. */
  constructor(
    private readonly jobs: readonly Promise<unknown>[],
    bound: Promise<void>,
  ) {
    const counted = jobs.map((job) =>
      job.then(() => {
        this.#compiled++;
        for (const listener of this.#listeners) listener(this.#compiled, this.jobs.length);
      }),
    );
    // All settle before anyone hears of a failure: nothing is left running then.
    this.#all = Promise.allSettled([...counted, bound]).then((results) => {
      const failed = results.find((result) => result.status === 'rejected');
      if (failed) throw failed.reason;
      this.#done = true;
    });
    // Whoever waits for it sees the failure; until then it is not an unhandled one.
    this.#all.catch(() => {});
  }

  get done(): boolean {
    return this.#done;
  }

  async ready(onProgress?: (compiled: number, total: number) => void): Promise<void> {
    if (onProgress) {
      onProgress(this.#compiled, this.jobs.length);
      this.#listeners.add(onProgress);
    }
    try {
      await this.#all;
    } finally {
      if (onProgress) this.#listeners.delete(onProgress);
    }
  }
}
