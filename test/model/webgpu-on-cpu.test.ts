// Units on the CPU beside WebGPU: what docs/placement.md says of their results.
import { describe, test } from 'vitest';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';
import { openModel } from '../../src/index.js';
import { checkOnCpu } from '../streaming/on-cpu.js';
import { openTestDevice, SKIP_WEBGPU } from '../webgpu-device.js';
import { FABLE_DRAFT, STORIES } from './files.js';

describe.skipIf(SKIP_WEBGPU)(
  'units on the CPU are near the resident run, and the same bits wherever the others are',
  () => {
    test.each([
      ['quantised weights', FABLE_DRAFT, 0.5, 3],
      ['f32 weights', STORIES, 0.01, 4],
    ] as const)('on webgpu, %s', async (_, path, bound, runs) => {
      const backend = await openTestDevice();
      await checkOnCpu(backend, await openModel(path), () => createCpuBackend({ threads: 1 }), runs, bound);
      await backend.dispose();
    });
  },
);
