// The webgpu backend against the reference, every case. A configuration a file: each compiles all kernels, which software
// devices take minutes for.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterOptions } from '../../src/backend/webgpu/adapter.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu.js';
import { openTestDevice, SKIP_WEBGPU } from '../webgpu-device.js';
import { sequenceCases } from './cases/sequence.js';
import { KERNEL_CASES } from './cases.js';
import { differences, expectedOf, runSetup, wrongCuts } from './harness.js';
import type { Precision } from './tolerance.js';
import { isQuant } from './weights.js';

/**
 * Each of some thousand kernels runs once: compiling them without LLVM's optimisations takes a third less on lavapipe, which
 * reads this when it starts. Other drivers do not know it.
 */
process.env.GALLIVM_PERF ??= 'nopt';

/** With packed products of 8 bits, tiles round activations in blocks of 32; every other kernel takes them as they are. */
const precisionOf = (backend: WebGpuBackend): Precision => ({
  activationBlock: (type) => (backend.facts.packedDot && isQuant(type) ? 32 : 0),
});

export function testKernels(name: string, options: AdapterOptions): void {
  describe.skipIf(SKIP_WEBGPU)(name, () => {
    let backend: WebGpuBackend;

    beforeAll(async () => {
      backend = await openTestDevice(options);
    });

    afterAll(() => backend?.dispose());

    it.each(KERNEL_CASES.map((kernelCase) => [kernelCase.name, kernelCase] as const))('%s', async (_, kernelCase) => {
      const expected = await expectedOf(kernelCase, precisionOf(backend));
      expect(differences(await runSetup(backend, expected.setup), expected)).toEqual([]);
    });

    it.each(
      sequenceCases.map((kernelCase) => [kernelCase.name, kernelCase] as const),
    )('%s in segments', async (_, kernelCase) => {
      expect(await wrongCuts(backend, kernelCase.build())).toEqual([]);
    });
  });
}
