import { afterAll, beforeAll, describe } from 'vitest';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu.js';
import { openTestDevice, SKIP_WEBGPU } from '../webgpu-device.js';
import { drawingTests } from './drawing.js';

describe.skipIf(SKIP_WEBGPU)('webgpu', () => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await openTestDevice();
  });
  afterAll(() => backend?.dispose());

  drawingTests(() => backend);
});
