// Scratch and step buffers of WebGPU's recordings, and what units on the CPU take beside it, are what plans leave room for.
import { describe, test } from 'vitest';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';
import { openModel } from '../../src/index.js';
import { checkPassBytes } from '../streaming/pass-bytes.js';
import { openTestDevice, SKIP_WEBGPU } from '../webgpu-device.js';
import { FABLE_DRAFT, STORIES } from './files.js';

describe.skipIf(SKIP_WEBGPU)('passes take what the plan leaves room for', () => {
  test.each([FABLE_DRAFT, STORIES])('%s', async (path) => {
    const backend = await openTestDevice();
    await checkPassBytes(backend, await openModel(path), () => createCpuBackend({ threads: 1 }), 1);
    await backend.dispose();
  });
});
