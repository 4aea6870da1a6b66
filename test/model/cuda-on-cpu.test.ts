// Units on the CPU beside CUDA: what docs/placement.md says of their results.
import { describe, test } from 'vitest';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';
import { openModel } from '../../src/index.js';
import { openCudaDevice } from '../cuda-device.js';
import { checkOnCpu } from '../streaming/on-cpu.js';
import { FABLE, FABLE_DRAFT, STORIES } from './files.js';

describe('units on the CPU are near the resident run, and the same bits wherever the others are', () => {
  test.each([
    ['a tied head', FABLE_DRAFT, 0.5, 20],
    ['quantised weights', FABLE, 0.5, 10],
    ['f32 weights', STORIES, 0.01, 20],
  ] as const)('on cuda, %s', async (_, path, bound, runs) => {
    const backend = openCudaDevice();
    await checkOnCpu(backend, await openModel(path), () => createCpuBackend({ threads: 2 }), runs, bound);
    await backend.dispose();
  });
});
