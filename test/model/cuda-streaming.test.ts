// Streamed models on CUDA: law 2.
import { describe, test } from 'vitest';
import { openModel } from '../../src/index.js';
import { openCudaDevice } from '../cuda-device.js';
import { checkInvariance } from '../streaming/invariance.js';
import { FABLE, FABLE_DRAFT, STORIES } from './files.js';

describe('placement never changes results', () => {
  test.each([
    ['a tied head', FABLE_DRAFT, 40],
    ['quantised weights', FABLE, 20],
    ['f32 weights', STORIES, 40],
  ] as const)('on cuda, %s', async (_, path, runs) => {
    const backend = openCudaDevice();
    await checkInvariance(backend, await openModel(path), runs);
    await backend.dispose();
  });
});
