// A device for timing single dispatches: what the backend's recorder does, without its checks, and with choices of the
// kernels and Dawn's switches left to the caller.
import { create } from 'webgpu';

const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 0x40, STORAGE: 0x80, QUERY_RESOLVE: 0x200 };
const COMPUTE = 4;

/** GPU time before a measurement counts, and the most runs that it may take. */
const WARM_SECONDS = 0.03;
const WARM_RUNS = 20;

export class Lab {
  #pipelines = new Map();

  /** `flags` go to Dawn: adapter=<name>, enable-dawn-features=<switch>,... */
  static async open(flags) {
    const gpu = create([
      'enable-dawn-features=allow_unsafe_apis,disable_robustness',
      'disable-dawn-features=timestamp_quantization',
      ...flags,
    ]);
    const adapter = await gpu.requestAdapter();
    if (!adapter) throw new Error('no WebGPU adapter: install a Vulkan driver, or set VK_DRIVER_FILES');
    const requiredLimits = {};
    for (const name in adapter.limits) {
      if (/Storage|Compute|maxBufferSize/.test(name)) requiredLimits[name] = adapter.limits[name];
    }
    const requiredFeatures = ['subgroups', 'timestamp-query'].filter((name) => adapter.features.has(name));
    return new Lab(gpu, adapter, await adapter.requestDevice({ requiredLimits, requiredFeatures }));
  }

  constructor(gpu, adapter, device) {
    this.gpu = gpu;
    this.device = device;
    this.name = adapter.info.description || adapter.info.device;
    const subgroups = device.features.has('subgroups');
    this.facts = {
      limits: device.limits,
      subgroups,
      subgroupMinSize: subgroups ? adapter.info.subgroupMinSize : 0,
      subgroupMaxSize: subgroups ? adapter.info.subgroupMaxSize : 0,
      packedDot: gpu.wgslLanguageFeatures.has('packed_4x8_integer_dot_product'),
      vendor: adapter.info.vendor,
    };
    this.counts = this.#buffer(16, USAGE.UNIFORM | USAGE.COPY_DST);
    this.queries = device.createQuerySet({ type: 'timestamp', count: 2 });
    this.resolved = this.#buffer(16, USAGE.QUERY_RESOLVE | USAGE.COPY_SRC);
  }

  #buffer(size, usage) {
    return this.device.createBuffer({ size: Math.ceil(size / 16) * 16, usage });
  }

  /** Device memory, as the backend's ranges name it. */
  memory(bytes, label) {
    return { bytes, label, buffer: this.#buffer(bytes, USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST) };
  }

  write(memory, offset, bytes) {
    this.device.queue.writeBuffer(memory.buffer, offset, bytes);
  }

  /** Repeats the first `pattern` bytes of a memory up to `bytes`. */
  async repeat(memory, pattern, bytes) {
    // A buffer cannot be copied to itself: the pattern goes through one of its own.
    const copy = this.#buffer(pattern, USAGE.COPY_SRC | USAGE.COPY_DST);
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(memory.buffer, 0, copy, 0, pattern);
    for (let at = pattern; at < bytes; at += pattern) {
      encoder.copyBufferToBuffer(copy, 0, memory.buffer, at, Math.min(pattern, bytes - at));
    }
    this.device.queue.submit([encoder.finish()]);
    await this.device.queue.onSubmittedWorkDone();
    copy.destroy();
  }

  async read(memory, offset, bytes) {
    const staging = this.#buffer(bytes, USAGE.MAP_READ | USAGE.COPY_DST);
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(memory.buffer, offset, staging, 0, bytes);
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    const result = staging.getMappedRange().slice(0, bytes);
    staging.destroy();
    return result;
  }

  /** A dispatch with its pipeline and bind group; `scratch` is a memory. */
  async prepare(dispatch, scratch) {
    const bound = dispatch.bindings.map((slot) => {
      if (slot === null) return null;
      if (slot === 'counts') return { type: 'uniform', resource: { buffer: this.counts } };
      if (slot === 'scratch') return { type: 'storage', resource: { buffer: scratch.buffer } };
      if (slot === 'scratch-read') return { type: 'read-only-storage', resource: { buffer: scratch.buffer } };
      const { memory, offset, bytes } = slot.range;
      const resource = { buffer: memory.buffer, offset, size: Math.ceil(bytes / 4) * 4 };
      return { type: slot.access === 'read' ? 'read-only-storage' : 'storage', resource };
    });
    const entries = (make) => bound.flatMap((each, binding) => (each ? [make(each, binding)] : []));
    const layout = this.device.createBindGroupLayout({
      entries: entries(({ type }, binding) => ({ binding, visibility: COMPUTE, buffer: { type } })),
    });
    const key = dispatch.code + JSON.stringify(dispatch.constants);
    if (!this.#pipelines.has(key)) {
      const module = this.device.createShaderModule({ code: dispatch.code });
      const compiled = this.device.createComputePipelineAsync({
        layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, constants: dispatch.constants },
      });
      this.#pipelines.set(key, compiled);
    }
    const bindGroup = this.device.createBindGroup({
      layout,
      entries: entries(({ resource }, binding) => ({ binding, resource })),
    });
    return { pipeline: await this.#pipelines.get(key), bindGroup, groups: (rows) => dispatch.groups(rows) };
  }

  /** GPU seconds of the prepared dispatches in one pass, one after another. */
  async time(prepared, rows) {
    this.device.queue.writeBuffer(this.counts, 0, new Uint32Array([rows, rows, 0, 0]));
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass({
      timestampWrites: { querySet: this.queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
    });
    for (const { pipeline, bindGroup, groups } of prepared) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...groups(rows));
    }
    pass.end();
    encoder.resolveQuerySet(this.queries, 0, 2, this.resolved, 0);
    this.device.queue.submit([encoder.finish()]);
    const times = new BigInt64Array(await this.read({ buffer: this.resolved }, 0, 16));
    return Number(times[1] - times[0]) / 1e9;
  }

  async best(prepared, rows, repeats = 3) {
    // A GPU that waited for the compiler has lowered its clocks, and the first run may include what the driver does once.
    for (let busy = 0, runs = 0; busy < WARM_SECONDS && runs < WARM_RUNS; runs++)
      busy += await this.time(prepared, rows);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < repeats; i++) best = Math.min(best, await this.time(prepared, rows));
    return best;
  }

  close() {
    this.device.destroy();
  }
}
