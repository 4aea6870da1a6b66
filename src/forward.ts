import type { Backend, CommandList, DeviceRange, Fence, KernelTiming, PassSizes } from './backend/backend.js';
import { CANDIDATES, type Output, outputBytes, readOutputs } from './backend/outputs.js';
import { StepBuffer } from './backend/step.js';
import { NtxError } from './errors.js';

/**
 * One pass of a model: embed, then every unit in order, then logits. Rows may belong to several sequences, prompts and
 * decodes mixed; only rows that asked for an output cost the output head.
 */
export class Forward {
  /** Filled by the caller before each pass. */
  readonly step: StepBuffer;

  constructor(
    private readonly backend: Backend,
    private readonly lists: readonly CommandList[],
    private readonly outputs: DeviceRange,
    readonly sizes: PassSizes,
  ) {
    this.step = new StepBuffer(sizes.maxRows, sizes.maxOutputs);
  }

  /** Runs the step and returns what its outputs asked for, in their order. */
  async pass(): Promise<Output[]> {
    const count = this.step.outputs;
    let fence: Fence | undefined;
    for (const list of this.lists) fence = this.backend.submit(list, this.step);
    if (count === 0) {
      if (fence) await this.backend.wait(fence);
      return [];
    }
    const bytes = await this.backend.read({ ...this.outputs, bytes: count * outputBytes(CANDIDATES) });
    return readOutputs(bytes, count, CANDIDATES);
  }

  /** Runs the step with a clock on every kernel. Throws NtxError('unsupported') where the backend has none. */
  async profile(): Promise<KernelTiming[]> {
    const timings: KernelTiming[] = [];
    for (const list of this.lists) {
      if (!this.backend.profile) {
        const message = `the ${this.backend.device.backend} backend has no clock for single kernels`;
        throw new NtxError('unsupported', message, 'measure without --ops, or with --backend webgpu on a GPU');
      }
      timings.push(...(await this.backend.profile(list, this.step)));
    }
    return timings;
  }
}
