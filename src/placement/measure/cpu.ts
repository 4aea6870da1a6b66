// The cpu backend's products by type and number of threads.

import { loadHostAddon } from '../../backend/cpu/binding.js';
import { type CpuBackend, createCpuBackend } from '../../backend/cpu/cpu.js';
import type { GgmlType } from '../../gguf/types.js';
import type { CpuRates } from '../machine.js';
import { allocateWeights } from './bench-memory.js';
import { measureProducts, productSizes } from './products.js';
import type { Allowance } from './timing.js';

/** Numbers of threads in the order of what they are good for: all, all but the one that feeds the link, and the way there. */
export function threadCounts(cores: number): number[] {
  const counts = [cores, cores - 1, cores / 2, (3 * cores) / 4, cores / 4, 1];
  return [...new Set(counts.map((count) => Math.max(1, Math.round(count))))];
}

/**
 * By ascending threads, as many of them as the allowance has time for; always with all cores.
 * @param known what has been measured already
 * @param wanted numbers of threads; those that are no number of threads of this machine are left out
 */
export async function measureCpu(
  cpu: CpuBackend,
  types: readonly GgmlType[],
  known: CpuRates | null,
  allowance: Allowance,
  wanted: readonly number[] | null = null,
): Promise<{ cores: number; rates: CpuRates[] }> {
  const cores = loadHostAddon().addon!.cpuInfo().cores;
  const sizes = productSizes(cpu.device);
  const weights = await allocateWeights(cpu, sizes.totalBytes);
  const rates: CpuRates[] = known ? [known] : [];
  try {
    const all = threadCounts(cores).filter((count) => count !== known?.threads);
    const counts = all.filter((count) => wanted?.includes(count) ?? true);
    for (const [index, threads] of counts.entries()) {
      if (rates.length > 0 && allowance.left() === 0) break;
      const share = allowance.share(1 / (counts.length - index));
      // Prompts run with all cores, or all but one: of the others the rate of a single row tells enough.
      const rows = threads >= cores - 1 ? sizes.rows : [1];
      const backend = createCpuBackend({ threads });
      try {
        rates.push({ threads, products: await measureProducts(backend, weights, types, { ...sizes, rows }, share) });
      } finally {
        await backend.dispose();
      }
    }
  } finally {
    weights.free();
  }
  return { cores, rates: rates.toSorted((a, b) => a.threads - b.threads) };
}
