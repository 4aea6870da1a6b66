import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevice } from '../../src/backend/webgpu/adapter.js';
import { WebGpuBackend } from '../../src/backend/webgpu/webgpu.js';
import { Sampler, samplerOptions } from '../../src/sampler/index.js';
import { openTestDevice, SKIP_WEBGPU, TEST_ADAPTER } from '../webgpu-device.js';
import { candidatesOf, Drawing, drawingTests } from './drawing.js';

describe.skipIf(SKIP_WEBGPU)('webgpu', () => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await openTestDevice();
  });
  afterAll(() => backend?.dispose());

  drawingTests(() => backend, openTestDevice);

  it('says that the device was lost where it was, and draws no more', async () => {
    const opened = await openDevice({ adapter: TEST_ADAPTER });
    const own = new WebGpuBackend(opened);
    const drawing = new Drawing(own);
    drawing.fill(candidatesOf(1, 3, 1));
    const sampler = new Sampler(samplerOptions({ temperature: 0 }));
    const { candidates, fence } = await drawing.submit(sampler, []);
    const ends = Promise.allSettled([candidates, own.wait(fence)]);
    opened.device.destroy();
    for (const end of await ends) expect(String((end as PromiseRejectedResult).reason)).toMatch(/was lost/);
    await expect(drawing.submit(sampler, [])).rejects.toThrow(/was lost/);
    await own.dispose();
  });
});
