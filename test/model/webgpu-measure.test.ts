// Measuring a GPU through WebGPU.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu.js';
import { openTestDevice, SKIP_WEBGPU } from '../webgpu-device.js';
import { measureGpu } from './measured-gpu.js';

describe.skipIf(SKIP_WEBGPU)('measuring on webgpu', () => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await openTestDevice();
  });
  afterAll(() => backend?.dispose());

  test('finds a link whose copies take turns with kernels, and no memory that only CUDA has', async () => {
    const { device, link } = await measureGpu(backend);
    expect([device.backend, device.copiesOverlapKernels, device.hostIsDevice]).toEqual(['webgpu', false, false]);
    expect(link!.writeCombined).toBeNull();
  });
});
