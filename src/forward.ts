import type { Backend, CommandList, DeviceRange, Fence, KernelTiming, PassSizes } from './backend/backend.js';
import { CANDIDATES, type Output, outputBytes, readOutputs } from './backend/outputs.js';
import { StepBuffer } from './backend/step.js';
import { NtxError } from './errors.js';

/** Runs passes wherever the weights are: src/streaming. */
export interface Passes {
  /** Submits a pass. Rejects with NtxError when its weights do not come, or the signal is aborted before they have. */
  run(step: StepBuffer, signal?: AbortSignal): Promise<Fence>;
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

  constructor(
    private readonly backend: Backend,
    private readonly passes: Passes,
    private readonly outputs: DeviceRange,
    readonly sizes: PassSizes,
  ) {
    this.step = new StepBuffer(sizes.maxRows, sizes.maxOutputs);
  }

  /** Runs the step and returns what its outputs asked for, in their order. Rejects as Passes.run(). */
  async pass(signal?: AbortSignal): Promise<Output[]> {
    const count = this.step.outputs;
    const fence = await this.passes.run(this.step, signal);
    const result =
      count === 0
        ? this.backend.wait(fence)
        : this.backend.read({ ...this.outputs, bytes: count * outputBytes(CANDIDATES) });
    // Where the device has failed, both say so.
    result.catch(() => {});
    this.passes.ahead();
    const bytes = await result;
    return bytes ? readOutputs(bytes, count, CANDIDATES) : [];
  }

  /** Runs the step with a clock on every kernel. Throws NtxError('unsupported') where there is none. */
  async profile(): Promise<readonly KernelTiming[]> {
    const { list, segments } = this.passes.recordingFor(this.step.rows);
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
