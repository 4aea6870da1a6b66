// How kernels are cut to a device's limits.
import type { DeviceFacts } from '../kernel.js';
import { wgsl } from '../wgsl.js';

/** The least power of two that is `value` or more. */
export function powerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, value)));
}

/** Invocations of a workgroup: a power of two from 32 to `most` that is not far beyond what there is to do. */
export function threadsFor(work: number, facts: DeviceFacts, most: number): number {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX } = facts.limits;
  const limit = Math.min(most, maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX);
  return Math.max(32, Math.min(powerOfTwo(work), 2 ** Math.floor(Math.log2(limit))));
}

/** Invocations of every subgroup; 0 where there are none, or sizes differ. */
export function fixedLanes({ subgroups, subgroupMinSize, subgroupMaxSize }: DeviceFacts): number {
  return subgroups && subgroupMinSize === subgroupMaxSize ? subgroupMinSize : 0;
}

/**
 * Sums over a workgroup: through subgroups where all of the device's have one size, which saves most barriers, else through
 * workgroup memory. Goes ahead of the text that uses it.
 */
export function reduction(facts: DeviceFacts, threads: number): { code: string; constants: Record<string, number> } {
  const lanes = fixedLanes(facts);
  return lanes > 0 && threads % lanes === 0
    ? { code: wgsl('reduce.subgroups'), constants: { THREADS: threads, LANES: lanes } }
    : { code: wgsl('reduce'), constants: { THREADS: threads } };
}

/** lavapipe and SwiftShader. */
const SOFTWARE_VENDORS = ['mesa', 'google'];

/** Software compiles a kernel for seconds and runs its threads one after another: what matters is less code. */
export function isSoftware({ vendor }: DeviceFacts): boolean {
  return SOFTWARE_VENDORS.includes(vendor);
}
