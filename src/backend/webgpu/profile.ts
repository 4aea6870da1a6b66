import { NtxError } from '../../errors.js';
import type { KernelTiming } from '../backend.js';
import type { Program } from './list.js';
import { type Owner, USAGE } from './memory.js';
import type { ReadBack } from './read-back.js';

/** Queries of one set (WebGPU: 4096), two a dispatch. */
const DISPATCHES = 2048;
const TIMESTAMP_BYTES = 8;

/** Runs each dispatch in a compute pass of its own, the only place where WebGPU takes timestamps. */
export async function timePass(owner: Owner, readBack: ReadBack, program: Program): Promise<KernelTiming[]> {
  const { device } = owner;
  if (!device.features.has('timestamp-query')) {
    throw new NtxError('unsupported', 'this device has no timestamp queries', 'profile on another adapter');
  }
  const timings: KernelTiming[] = [];
  for (let first = 0; first < program.compiled.length; first += DISPATCHES) {
    const count = Math.min(DISPATCHES, program.compiled.length - first);
    const querySet = device.createQuerySet({ type: 'timestamp', count: 2 * count });
    const bytes = 2 * count * TIMESTAMP_BYTES;
    const resolved = device.createBuffer({
      label: 'timestamps',
      size: bytes,
      usage: USAGE.QUERY_RESOLVE | USAGE.COPY_SRC,
    });
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < count; i++) {
      const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
      const pass = encoder.beginComputePass({ timestampWrites });
      const { pipeline, bindGroup } = program.compiled[first + i];
      pass.setPipeline(pipeline.value!);
      pass.setBindGroup(0, bindGroup);
      const at = 3 * (first + i);
      pass.dispatchWorkgroups(program.groups[at], program.groups[at + 1], program.groups[at + 2]);
      pass.end();
    }
    encoder.resolveQuerySet(querySet, 0, 2 * count, resolved, 0);
    const answer = readBack.encode(encoder, { buffer: resolved, offset: 0, bytes });
    device.queue.submit([encoder.finish()]);
    const stamps = new BigUint64Array(await answer.fetch());
    for (let i = 0; i < count; i++) {
      const { op, dispatch } = program.compiled[first + i];
      const seconds = Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e9;
      timings.push({ op, label: dispatch.label, seconds, weightBytes: dispatch.weightBytes });
    }
    querySet.destroy();
    resolved.destroy();
  }
  return timings;
}
