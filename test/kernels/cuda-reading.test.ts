import { describe, it } from 'vitest';
import { openCudaDevice } from '../cuda-device.js';
import { expectReadsReachTheDevice } from './reading.js';

describe('cuda', () => {
  it('has host memory that files are read into', async () => {
    const backend = openCudaDevice();
    try {
      await expectReadsReachTheDevice(backend);
    } finally {
      await backend.dispose();
    }
  });
});
