// A device that nobody asked for is left where the processor alone is faster.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type * as backends from '../../src/backend/index.js';
import { loadModel } from '../../src/index.js';
import { openTestDevice, SKIP_WEBGPU } from '../webgpu-device.js';
import { FABLE } from './files.js';

// Software adapters are taken only when they are asked for: here the test's device stands for a slow one that is not software.
vi.mock('../../src/backend/index.js', async (original) => {
  const { createBackend, ...others } = await original<typeof backends>();
  const first = (options: backends.BackendOptions = {}) =>
    options.backend === 'cpu' ? createBackend(options) : openTestDevice();
  return { ...others, createBackend: first };
});

const onGpu = process.env.NTX_TEST_ADAPTER !== undefined;
if (onGpu)
  console.warn('NTX_TEST_ADAPTER names a GPU, which may be faster than the processor: its leaving is not tested');

const folder = mkdtempSync(join(tmpdir(), 'ntx-cpu-faster-'));
beforeAll(() => void vi.stubEnv('XDG_CACHE_HOME', folder));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test.skipIf(SKIP_WEBGPU || onGpu)(
  'what does not fit into a slow device runs on the processor, and a sentence says so',
  async () => {
    const reasons: string[] = [];
    const options = {
      vram: '30MiB',
      context: 128,
      maxRows: 16,
      onBackend: (reason: string) => void reasons.push(reason),
    };
    const model = await loadModel(FABLE, options);
    expect(model.device.backend).toBe('cpu');
    expect(reasons).toEqual([
      expect.stringMatching(/^the processor computes: .+ would be slower with what does not fit into it$/),
    ]);
    await model.dispose();
    // Whoever names the backend gets it.
    const asked = await loadModel(FABLE, { ...options, backend: 'webgpu' });
    expect(asked.device.backend).toBe('webgpu');
    expect(reasons).toHaveLength(1);
    await asked.dispose();
  },
);
