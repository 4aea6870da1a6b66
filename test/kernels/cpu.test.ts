// The cpu backend against the reference: every case with every set of kernels that this processor runs.
import { afterAll, describe, expect, it } from 'vitest';
import { cpuVariants, createCpuBackend, useCpuVariant } from '../../src/backend/cpu/cpu.js';
import { NtxError } from '../../src/errors.js';
import { sequenceCases } from './cases/sequence.js';
import { KERNEL_CASES } from './cases.js';
import { differences, expectedOf, type Outcome, runSetup, wrongCuts } from './harness.js';
import { EIGHT_BIT } from './tolerance.js';

const SKIP = process.env.NTX_TEST_SKIP_CPU === '1';
if (SKIP) console.warn('cpu cases skipped: NTX_TEST_SKIP_CPU=1 is set, so the native CPU kernels stay untested');

function createBackends() {
  try {
    return { variants: cpuVariants(), backends: [1, 2].map((threads) => createCpuBackend({ threads })) };
  } catch (error) {
    if (!(error instanceof NtxError)) throw error;
    throw new Error(`${error.message}; ${error.advice}, or set NTX_TEST_SKIP_CPU=1 to test without it`, {
      cause: error,
    });
  }
}

describe.skipIf(SKIP)('cpu', () => {
  const { variants, backends } = SKIP ? { variants: [], backends: [] } : createBackends();
  afterAll(async () => {
    // The best kernels again: other tests may share the process.
    useCpuVariant(variants[0]);
    await Promise.all(backends.map((backend) => backend.dispose()));
  });

  it.each(KERNEL_CASES.map((kernelCase) => [kernelCase.name, kernelCase] as const))('%s', async (_, kernelCase) => {
    const expected = await expectedOf(kernelCase, EIGHT_BIT);
    const problems: string[] = [];
    for (const variant of variants) {
      useCpuVariant(variant);
      const outcomes: Outcome[] = [];
      for (const backend of backends) outcomes.push(await runSetup(backend, expected.setup));
      problems.push(...differences(outcomes[0], expected).map((problem) => `${variant}: ${problem}`));
      problems.push(...otherBits(outcomes).map((name) => `${variant}: ${name} differs between one thread and two`));
      problems.push(...outcomes[1].faults.map((fault) => `${variant}, 2 threads: ${fault}`));
    }
    expect(problems).toEqual([]);
  });

  it.each(
    sequenceCases.map((kernelCase) => [kernelCase.name, kernelCase] as const),
  )('%s in segments', async (_, kernelCase) => {
    expect(await wrongCuts(backends[1], kernelCase.build())).toEqual([]);
  });
});

/** Results depend on an op's arguments alone, never on the number of threads: not even in the last bit. */
function otherBits([one, two]: readonly Outcome[]): string[] {
  return [...one.state.keys()].filter((name) => Buffer.compare(one.state.get(name)!, two.state.get(name)!) !== 0);
}
