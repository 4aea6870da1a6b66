// What follows when the device fails: in a file of its own, because no other test of its process could use the device then.
import { expect, it } from 'vitest';
import { NtxError } from '../../src/errors.js';
import { openCudaDevice } from '../cuda-device.js';

it('a failure of the device rejects what waits for it, refuses what comes later, and ends', async () => {
  const backend = openCudaDevice();
  const memory = backend.allocateDevice(1 << 20, 'some');
  const range = { memory, offset: 0, bytes: 16 };
  const before = await backend.read(range);
  expect(before.byteLength).toBe(16);
  const read = backend.read(range);
  const fence = backend.fault();
  const outcomes = await Promise.allSettled([read, backend.wait(fence), backend.read(range)]);
  expect(outcomes.slice(1).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  for (const outcome of outcomes.slice(1)) {
    const { reason } = outcome as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(NtxError);
    expect(reason.message).toMatch(/the device failed: .*native\/cuda\/.*cudaError/);
    expect(reason.advice.length).toBeGreaterThan(10);
  }
  expect(() => backend.allocateDevice(16, 'more')).toThrow('the device failed');
  expect(() => backend.fault()).toThrow('the device failed');
  await expect(backend.wait(fence)).rejects.toThrow('the device failed');
  memory.free();
  await backend.dispose();
});
