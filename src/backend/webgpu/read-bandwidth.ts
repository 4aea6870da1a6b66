// What a kernel that only reads gets out of the device's memory: what a decode, which reads all weights once, is held against.
import { NtxError } from '../../errors.js';
import { type AdapterOptions, openDevice } from './adapter.js';
import { closeGpu } from './binding.js';
import { USAGE } from './memory.js';
import { wgsl } from './wgsl.js';

/** Far beyond every cache. */
const BYTES = 2 ** 30;
/** Where the model has left no more; less would be a figure of the caches. */
const LEAST_BYTES = 2 ** 27;
/** Workgroups of 256 threads: about 4 to 32 for each multiprocessor of a large GPU; which is best differs. */
const LAUNCHES = [528, 1056, 2112, 4224];
const PASSES = 4;
/** GPU time before a measurement counts: clocks are low after a pause. */
const WARM_SECONDS = 0.03;
const WARM_PASSES = 20;
/** Multiples of this may start a binding on every device, and hold whole vectors. */
const ALIGNMENT = 256;
/** In kernels/wgsl/read-bandwidth.wgsl. */
const MULTIPLIER = 2654435761n;

const MAP_MODE_READ = 0x1;
/** The sum, and from the second word pair on two timestamps. */
const RESULT_BYTES = 24;

/**
 * Bytes a second that an adapter reads, in a device of its own beside the model's. Throws NtxError('no-backend') and, where
 * not even 128 MiB are left, NtxError('no-memory').
 */
export async function measureReadBandwidth(options: AdapterOptions, bytes = BYTES): Promise<number> {
  const { gpu, device } = await openDevice(options);
  try {
    return await deviceReadBandwidth(device, bytes);
  } finally {
    device.destroy();
    await device.lost;
    closeGpu(gpu);
  }
}

/**
 * The best of several passes over a buffer of at most `bytes`, each dispatch over at most `pieceBytes` of it.
 * Throws NtxError('internal') when a pass did not read all of it.
 */
export async function deviceReadBandwidth(device: GPUDevice, bytes: number, pieceBytes = bytes): Promise<number> {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const piece = Math.min(pieceBytes, bytes, maxBufferSize, maxStorageBufferBindingSize);
  const buffer = await allocate(device, Math.min(bytes, maxBufferSize));
  try {
    const reader = new Reader(device, buffer, Math.min(piece, buffer.size));
    try {
      await reader.fill();
      let best = Number.POSITIVE_INFINITY;
      for (const groups of LAUNCHES) best = Math.min(best, await reader.best(groups));
      return reader.bytes / best;
    } finally {
      reader.destroy();
    }
  } finally {
    buffer.destroy();
  }
}

/** The largest of `bytes`, half of it and so on that there is memory for. */
async function allocate(device: GPUDevice, bytes: number): Promise<GPUBuffer> {
  for (let size = bytes; ; size /= 2) {
    const whole = Math.max(ALIGNMENT, Math.floor(size / ALIGNMENT) * ALIGNMENT);
    device.pushErrorScope('out-of-memory');
    const buffer = device.createBuffer({ label: 'read bandwidth', size: whole, usage: USAGE.STORAGE });
    const failure = await device.popErrorScope();
    if (!failure) return buffer;
    buffer.destroy();
    if (size / 2 < LEAST_BYTES) {
      const message = `measuring the read bandwidth: expected a buffer of ${whole} bytes, got none (${failure.message})`;
      throw new NtxError('no-memory', message, 'close other programs that use the GPU, or choose a smaller model');
    }
  }
}

interface Prepared {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroups: readonly GPUBindGroup[];
  readonly groups: number;
}

/** Passes over whole pieces of a buffer that hold known numbers. */
class Reader {
  readonly bytes: number;
  readonly #piece: number;
  readonly #sum: number;
  readonly #total: GPUBuffer;
  readonly #result: GPUBuffer;
  readonly #module: GPUShaderModule;
  readonly #queries: GPUQuerySet | null;

  constructor(
    private readonly device: GPUDevice,
    private readonly buffer: GPUBuffer,
    pieceBytes: number,
  ) {
    this.#piece = Math.floor(pieceBytes / ALIGNMENT) * ALIGNMENT;
    const pieces = Math.floor(buffer.size / this.#piece);
    this.bytes = pieces * this.#piece;
    this.#sum = sumOf(this.#piece / 4, pieces);
    this.#module = device.createShaderModule({ label: 'read bandwidth', code: wgsl('read-bandwidth') });
    const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST | USAGE.QUERY_RESOLVE;
    // Timestamps are resolved to multiples of 256.
    this.#total = device.createBuffer({ label: 'sum', size: 2 * ALIGNMENT, usage });
    this.#result = device.createBuffer({ size: RESULT_BYTES, usage: USAGE.MAP_READ | USAGE.COPY_DST });
    const timed = device.features.has('timestamp-query');
    this.#queries = timed ? device.createQuerySet({ type: 'timestamp', count: 2 }) : null;
  }

  async fill(): Promise<void> {
    await this.#run(await this.#prepare('fill', LAUNCHES[0]), null);
  }

  /** Seconds of the fastest pass with so many workgroups. */
  async best(groups: number): Promise<number> {
    const prepared = await this.#prepare('main', groups);
    for (let busy = 0, passes = 0; busy < WARM_SECONDS && passes < WARM_PASSES; passes++) {
      busy += await this.#run(prepared, this.#sum);
    }
    let best = Number.POSITIVE_INFINITY;
    for (let pass = 0; pass < PASSES; pass++) best = Math.min(best, await this.#run(prepared, this.#sum));
    return best;
  }

  destroy(): void {
    this.#queries?.destroy();
    this.#total.destroy();
    this.#result.destroy();
  }

  async #prepare(entryPoint: 'main' | 'fill', groups: number): Promise<Prepared> {
    const constants = { QUADS: this.#piece / 16, THREADS: 256 * groups };
    const compute = { module: this.#module, entryPoint, constants };
    const pipeline = await this.device.createComputePipelineAsync({ layout: 'auto', compute });
    const bindGroups = Array.from({ length: this.bytes / this.#piece }, (_, p) => {
      const resource = { buffer: this.buffer, offset: p * this.#piece, size: this.#piece };
      const entries =
        entryPoint === 'fill'
          ? [{ binding: 2, resource }]
          : [
              { binding: 0, resource },
              { binding: 1, resource: { buffer: this.#total, size: 4 } },
            ];
      return this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    });
    return { pipeline, bindGroups, groups };
  }

  /** Seconds of one pass: the GPU's where it has a clock, else until it is known to be over. `sum`: what it has to find. */
  async #run({ pipeline, bindGroups, groups }: Prepared, sum: number | null): Promise<number> {
    const encoder = this.device.createCommandEncoder();
    encoder.clearBuffer(this.#total);
    const querySet = this.#queries;
    const timestampWrites = querySet && { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    const pass = encoder.beginComputePass(timestampWrites ? { timestampWrites } : {});
    pass.setPipeline(pipeline);
    for (const bindGroup of bindGroups) {
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(groups);
    }
    pass.end();
    if (querySet) encoder.resolveQuerySet(querySet, 0, 2, this.#total, ALIGNMENT);
    encoder.copyBufferToBuffer(this.#total, 0, this.#result, 0, 8);
    encoder.copyBufferToBuffer(this.#total, ALIGNMENT, this.#result, 8, 16);
    const commands = encoder.finish();
    const started = performance.now();
    this.device.queue.submit([commands]);
    await this.#result.mapAsync(MAP_MODE_READ);
    const elapsed = (performance.now() - started) / 1000;
    const bytes = this.#result.getMappedRange().slice(0);
    this.#result.unmap();
    const [found] = new Uint32Array(bytes);
    if (sum !== null && found !== sum) {
      const message = `measuring the read bandwidth: expected the sum ${sum}, got ${found}`;
      throw new NtxError('internal', message, 'report this, with the GPU and its driver');
    }
    const [begin, end] = new BigUint64Array(bytes, 8);
    return querySet ? Number(end - begin) / 1e9 : elapsed;
  }
}

/** Of `pieces` times the words n * MULTIPLIER for n below `words`, modulo 2^32. */
function sumOf(words: number, pieces: number): number {
  const n = BigInt(words);
  return Number(BigInt.asUintN(32, (n * (n - 1n) * MULTIPLIER * BigInt(pieces)) / 2n));
}
