import type {
  Backend,
  CommandList,
  DeviceRange,
  DrawnPass,
  Fence,
  KernelTiming,
  PassSizes,
} from './backend/backend.js';
import { CANDIDATES, type Output, outputBytes, readOutputs } from './backend/outputs.js';
import type { NextSampling } from './backend/sampling.js';
import { StepBuffer } from './backend/step.js';
import { NtxError } from './errors.js';

/** Runs passes wherever the weights are: src/streaming. */
export interface Passes {
  /** Submits a pass. Rejects with NtxError when its weights do not come, or the signal is aborted before they have. */
  run(step: StepBuffer, signal?: AbortSignal): Promise<Fence>;
  /** Backend.submitDrawn(). null or absent: what follows has to be known first. */
  submitDrawn?(step: StepBuffer, candidates: DeviceRange, sampling: NextSampling): DrawnPass | null;
  /** To be called when the result has been asked for: weights of the next pass may follow. */
  ahead(): void;
  /** The list of passes of so many rows, and its segments: one, where it needs nobody else. */
  recordingFor(rows: number): { readonly list: CommandList; readonly segments: readonly unknown[] };
}

/**
 * One pass of a model: embed, then every unit in order, then logits. Rows may belong to several sequences, prompts and
 * decodes mixed; only rows that asked for an output cost the output head.
 */
export class Forward {
  /** Filled by the caller before each pass. */
  readonly step: StepBuffer;
  /** Of the pass behind the one that runs. */
  readonly #next: StepBuffer;
  /** The pass that has begun with the token that the device drew, if one has. */
  #begun: { readonly token: number; readonly position: number; readonly slot: number; readonly fence: Fence } | null =
    null;

  constructor(
    private readonly backend: Backend,
    private readonly passes: Passes,
    private readonly outputs: DeviceRange,
    readonly sizes: PassSizes,
  ) {
    this.step = new StepBuffer(sizes.maxRows, sizes.maxOutputs);
    this.#next = new StepBuffer(sizes.maxRows, sizes.maxOutputs);
  }

  /**
   * Runs the step and returns what its outputs asked for, in their order. Rejects as Passes.run().
   * @param sampling how the token behind a single output will be chosen: a device that can draw it begins its pass at once, and
   * does not wait for the host. The next call, if it is of that token, only asks for the result.
   */
  async pass(signal?: AbortSignal, sampling?: NextSampling): Promise<Output[]> {
    const count = this.step.outputs;
    const fence = this.#takeBegun() ?? (await this.passes.run(this.step, signal));
    const range = { ...this.outputs, bytes: count * outputBytes(CANDIDATES) };
    const drawn = sampling ? this.#submitDrawn(range, sampling) : null;
    const result = count === 0 ? this.backend.wait(fence) : (drawn?.candidates ?? this.backend.read(range));
    // Where the device has failed, both say so.
    result.catch(() => {});
    this.passes.ahead();
    const bytes = await result;
    const outputs = bytes ? readOutputs(bytes, count, CANDIDATES) : [];
    const { position, slot } = this.#next.row(0);
    if (drawn) this.#begun = { token: outputs[0].drawn!, position, slot, fence: drawn.fence };
    return outputs;
  }

  /** The fence of the pass that has begun, if it is the step's. */
  #takeBegun(): Fence | null {
    const begun = this.#begun;
    this.#begun = null;
    const { rows, outputs } = this.step;
    if (begun === null || rows !== 1 || outputs !== 1 || this.step.output(0).target !== null) return null;
    const { token, position, slot } = this.step.row(0);
    return token === begun.token && position === begun.position && slot === begun.slot ? begun.fence : null;
  }

  #submitDrawn(candidates: DeviceRange, sampling: NextSampling): DrawnPass | null {
    if (!this.passes.submitDrawn || this.step.outputs !== 1) return null;
    const { position, slot } = this.step.row(this.step.output(0).row);
    if (position + 1 >= this.sizes.context) return null;
    this.#next.clear();
    this.#next.addOutput(this.#next.addRow(0, position + 1, slot));
    return this.passes.submitDrawn(this.#next, candidates, sampling);
  }

  /** Runs the step with a clock on every kernel. Throws NtxError('unsupported') where there is none. */
  async profile(): Promise<readonly KernelTiming[]> {
    const { list, segments } = this.passes.recordingFor(this.step.rows);
    // The outputs are another pass's then.
    this.#begun = null;
    if (!this.backend.profile) {
      const message = `the ${this.backend.device.backend} backend has no clock for single kernels`;
      throw new NtxError('unsupported', message, 'measure without --ops, or on a GPU (--backend cuda or webgpu)');
    }
    if (segments.length > 1) {
      const message =
        'kernels are timed one by one where all weights are resident; here some are streamed, or the CPU computes';
      throw new NtxError('unsupported', message, 'measure without --ops, or with more --vram');
    }
    return this.backend.profile(list, this.step);
  }
}
