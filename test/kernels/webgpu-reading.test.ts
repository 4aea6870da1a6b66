import { describe, it } from 'vitest';
import { openTestDevice, SKIP_WEBGPU } from '../webgpu-device.js';
import { expectReadsReachTheDevice } from './reading.js';

describe.skipIf(SKIP_WEBGPU)('webgpu', () => {
  it('has host memory that files are read into', async () => {
    const backend = await openTestDevice();
    try {
      await expectReadsReachTheDevice(backend);
    } finally {
      await backend.dispose();
    }
  });
});
