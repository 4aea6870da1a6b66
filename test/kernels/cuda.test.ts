// The cuda backend against the reference: every shared case, and what only it does.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CudaBackend } from '../../src/backend/cuda/cuda.js';
import { openCudaDevice } from '../cuda-device.js';
import { sequenceCases } from './cases/sequence.js';
import { KERNEL_CASES } from './cases.js';
import { FUSED_CASES, runFused } from './cuda-fused.js';
import { differences, expectedOf, runSetup, wrongCuts } from './harness.js';
import { EIGHT_BIT } from './tolerance.js';

describe('cuda', () => {
  let backend: CudaBackend;

  beforeAll(() => {
    backend = openCudaDevice();
  });

  afterAll(() => backend?.dispose());

  it.each(KERNEL_CASES.map((kernelCase) => [kernelCase.name, kernelCase] as const))('%s', async (_, kernelCase) => {
    const expected = await expectedOf(kernelCase, EIGHT_BIT);
    expect(differences(await runSetup(backend, expected.setup), expected)).toEqual([]);
  });

  it.each(FUSED_CASES.map((kernelCase) => [kernelCase.name, kernelCase] as const))('%s', async (_, kernelCase) => {
    expect(await runFused(backend, kernelCase)).toEqual([]);
  });

  it.each(
    sequenceCases.map((kernelCase) => [kernelCase.name, kernelCase] as const),
  )('%s in segments', async (_, kernelCase) => {
    expect(await wrongCuts(backend, kernelCase.build())).toEqual([]);
  });
});
