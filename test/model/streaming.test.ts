// Streamed models on the backends that every machine has: law 2.
import { describe, test } from 'vitest';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { openModel } from '../../src/index.js';
import { checkInvariance } from '../streaming/invariance.js';
import { checkOnCpu } from '../streaming/on-cpu.js';
import { FABLE_DRAFT, STORIES } from './files.js';

describe('placement never changes results', () => {
  test('on cpu, quantised weights and a tied head', async () => {
    const backend = createCpuBackend({ threads: 2 });
    await checkInvariance(backend, await openModel(FABLE_DRAFT), 40, () => createCpuBackend({ threads: 1 }));
    await backend.dispose();
  });

  test('on cpu, f32 weights', async () => {
    const backend = createCpuBackend({ threads: 1 });
    await checkInvariance(backend, await openModel(STORIES), 60);
    await backend.dispose();
  });

  test('on the reference', async () => {
    const backend = createReferenceBackend();
    await checkInvariance(backend, await openModel(STORIES), 12, createReferenceBackend);
    await backend.dispose();
  });
});

test('units on the CPU are near the resident run, and the same bits wherever the others are', async () => {
  const backend = createReferenceBackend();
  await checkOnCpu(backend, await openModel(STORIES), () => createCpuBackend({ threads: 2 }), 6, 0.01);
  await backend.dispose();
});
