// Streamed models on WebGPU: law 2.
import { describe, test } from 'vitest';
import { openModel } from '../../src/index.js';
import { checkInvariance } from '../streaming/invariance.js';
import { openTestDevice, SKIP_WEBGPU } from '../webgpu-device.js';
import { FABLE_DRAFT } from './files.js';

describe.skipIf(SKIP_WEBGPU)('placement never changes results', () => {
  test('on webgpu', async () => {
    const backend = await openTestDevice();
    await checkInvariance(backend, await openModel(FABLE_DRAFT), 8);
    await backend.dispose();
  });
});
