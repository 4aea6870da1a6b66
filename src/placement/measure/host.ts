// The host: what its processor gets through, alone and beside the link.
import { availableParallelism, cpus } from 'node:os';
import type { Backend } from '../../backend/backend.js';
import { CpuBackend, createCpuBackend } from '../../backend/cpu/cpu.js';
import { NtxError } from '../../errors.js';
import type { GgmlType } from '../../gguf/types.js';
import { hostMemory } from '../budget.js';
import type { CpuRates, DeviceDescription, HostDescription } from '../machine.js';
import { measureCpu } from './cpu.js';
import { measureHostMemory } from './host-memory.js';
import { bestProducts, noteMissing } from './products.js';
import type { Allowance } from './timing.js';

/** Of looking at the host again: a slow one takes as long for one type. */
const LEAST_SECONDS = 1.5;

/** Null, with an assumption, where it was not built. */
export function openCpu(assumptions: string[]): CpuBackend | null {
  try {
    return createCpuBackend();
  } catch (error) {
    if (!(error instanceof NtxError && error.code === 'no-backend')) throw error;
    assumptions.push('the cpu backend is not built: no unit can be computed by the processor');
    return null;
  }
}

/** @param beginMemory called between the probes of the processor and of its memory */
export async function hostOf(
  cpu: CpuBackend | null,
  backend: Backend,
  device: DeviceDescription,
  types: readonly GgmlType[],
  allowance: Allowance,
  beginMemory: () => void,
  assumptions: string[],
): Promise<HostDescription> {
  const { totalBytes: memoryBytes } = hostMemory();
  const name = cpus()[0]?.model.trim() || 'processor';
  if (cpu === null) {
    beginMemory();
    const readRate = device.hostIsDevice ? device.readRate : 1e10;
    if (!device.hostIsDevice) assumptions.push('reads of host memory were not measured: 10 GB/s stand in');
    return { cpu: name, cores: availableParallelism(), memoryBytes, readRate, withLink: null, products: [] };
  }
  const known = backend instanceof CpuBackend ? { threads: backend.threads, products: device.products } : null;
  const { cores, rates } = await measureCpu(cpu, types, known, allowance);
  noteMissing(types, rates[rates.length - 1].products, 'processor', assumptions);
  beginMemory();
  const memory = await memoryBeside(cpu, backend, cores, types[0], rates, allowance);
  return { cpu: name, cores, memoryBytes, ...memory, products: rates };
}

/**
 * The better of `host` and what is measured now, of the numbers of threads that models run with. A hypervisor that writes a file
 * out takes time from every core, and threads that meet after each op wait for the slowest: for seconds nothing was fast.
 */
export async function hostAgain(
  cpu: CpuBackend,
  backend: Backend,
  host: HostDescription,
  types: readonly GgmlType[],
  allowance: Allowance,
): Promise<HostDescription> {
  // The device's products are these, and have been measured twice.
  if (backend.device.hostIsDevice || allowance.left() < LEAST_SECONDS) return host;
  const { rates } = await measureCpu(cpu, types, null, allowance, [host.cores, host.cores - 1]);
  const products = bestRates(host.products, rates);
  const memory = await memoryBeside(cpu, backend, host.cores, types[0], products, allowance);
  return { ...host, ...bestMemory(host, memory), products };
}

/** Of each number of threads the better of both measurements. */
export function bestRates(first: readonly CpuRates[], second: readonly CpuRates[]): CpuRates[] {
  return first.map((rates) => {
    const again = second.find(({ threads }) => threads === rates.threads);
    return again ? { ...rates, products: bestProducts(rates.products, again.products) } : rates;
  });
}

type Memory = Pick<HostDescription, 'readRate' | 'withLink'>;

/** What the link carries belongs to what the processor reaches beside it. */
export function bestMemory(first: Memory, second: Memory): Memory {
  const [one, other] = [first.withLink, second.withLink];
  const isBetter = other !== null && (one === null || other.readRate > one.readRate);
  return { readRate: Math.max(first.readRate, second.readRate), withLink: isBetter ? other : one };
}

async function memoryBeside(
  cpu: CpuBackend,
  backend: Backend,
  cores: number,
  type: GgmlType,
  rates: readonly CpuRates[],
  { now }: Allowance,
) {
  // One core is left to the link and the event loop, as it is when a model runs.
  const threads = Math.max(1, cores - 1);
  const beside = backend.device.hostIsDevice ? null : createCpuBackend({ threads, besideDevice: true });
  const alone = rates.find((each) => each.threads === beside?.threads)?.products[type]?.[0].rate ?? null;
  const link = beside && { device: backend, cpu: beside, type, alone };
  return measureHostMemory(cpu, link, now).finally(() => beside?.dispose());
}
