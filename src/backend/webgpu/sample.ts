import type { DeviceRange } from '../backend.js';
import { SAMPLING_WORDS, type Sampling, samplingWords } from '../sampling.js';
import type { GpuList } from './list.js';
import { GpuMemory, type Owner, USAGE } from './memory.js';
import { wgsl } from './wgsl.js';

interface Bound {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
  readonly group: GPUBindGroup;
}

/** The kernel that draws a pass's token (kernels/wgsl/sample.wgsl): compiled in the background, once there is a list for it. */
export class TokenSampler {
  #pipeline: GPUComputePipeline | null = null;
  #compiling = false;
  #parameters: GpuMemory | null = null;
  readonly #bound = new WeakMap<GpuList, Bound>();

  constructor(private readonly owner: Owner) {}

  /** To be called early: until it is compiled, nothing is drawn. */
  compile(): void {
    if (this.#compiling) return;
    this.#compiling = true;
    const { device, health } = this.owner;
    const { value, settled } = health.guard('sample', () => {
      const module = device.createShaderModule({ label: 'sample', code: wgsl('sample') });
      this.#parameters = new GpuMemory(this.owner, 4 * SAMPLING_WORDS, 'sampling', USAGE.STORAGE | USAGE.COPY_DST);
      return device.createComputePipelineAsync({ label: 'sample', layout: 'auto', compute: { module } });
    });
    value.then(
      async (pipeline) => {
        await settled;
        this.#pipeline = pipeline;
      },
      // Whoever submits something hears of a device that has failed; without the kernel tokens are the host's.
      () => {},
    );
  }

  get isReady(): boolean {
    return this.#pipeline !== null;
  }

  /** Behind the upload of the pass's step: its token, from the candidates, which get it as well. */
  encode(encoder: GPUCommandEncoder, list: GpuList, candidates: DeviceRange, sampling: Sampling): void {
    const words = samplingWords(sampling, list.limits.tokens);
    this.owner.device.queue.writeBuffer(this.#parameters!.buffer, 0, words);
    const pass = encoder.beginComputePass();
    pass.setPipeline(this.#pipeline!);
    pass.setBindGroup(0, this.#bind(list, candidates));
    pass.dispatchWorkgroups(1);
    pass.end();
  }

  #bind(list: GpuList, { memory, offset, bytes }: DeviceRange): GPUBindGroup {
    const { buffer } = memory as GpuMemory;
    const known = this.#bound.get(list);
    if (known?.buffer === buffer && known.offset === offset && known.bytes === bytes) return known.group;
    const resources = [{ buffer: this.#parameters!.buffer }, { buffer, offset, size: bytes }, list.step];
    const layout = this.#pipeline!.getBindGroupLayout(0);
    const entries = resources.map((resource, binding) => ({ binding, resource }));
    const group = this.owner.device.createBindGroup({ label: 'sample', layout, entries });
    this.#bound.set(list, { buffer, offset, bytes, group });
    return group;
  }
}
