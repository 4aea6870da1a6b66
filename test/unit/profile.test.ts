import { describe, expect, test } from 'vitest';
import type { Backend, KernelTiming } from '../../src/backend/backend.js';
import { kernelTable } from '../../src/cli/kernel-table.js';
import { Forward } from '../../src/forward.js';
import { profilePass } from '../../src/profile.js';

const SIZES = { maxRows: 1, maxOutputs: 1, slots: 1, context: 8 };
const list = { opCount: 1, dispose: () => {} };

function forwardOf(profile: Backend['profile'], segments: readonly unknown[] = [null]): Forward {
  const backend = { device: { backend: 'cpu' }, ...(profile && { profile }) } as unknown as Backend;
  return new Forward(
    backend,
    { run: async () => ({ backend: 'cpu' }), ahead: () => {}, recordingFor: () => ({ list, segments }) },
    { memory: { bytes: 0, label: '', free: () => {} }, offset: 0, bytes: 0 },
    SIZES,
  );
}

const timing = (op: number, label: string, seconds: number, weightBytes = 0): KernelTiming => ({
  ...{ op, label, seconds, weightBytes },
});

describe('profiles of a pass', () => {
  test('are of the fastest of several passes, by label, the longest first', async () => {
    let calls = 0;
    const forward = forwardOf(async () => {
      // The third pass is the fastest.
      const factor = calls++ === 2 ? 1 : 3;
      const layer = [timing(0, 'norm', factor * 1e-6), timing(1, 'product', factor * 4e-6, 8000)];
      return [...layer, ...layer];
    });
    const profile = await profilePass(forward);
    expect(profile.seconds).toBeCloseTo(10e-6, 12);
    expect(profile.kernels.map(({ label, count }) => [label, count])).toEqual([
      ['product', 2],
      ['norm', 2],
    ]);
    expect(profile.kernels[0].weightBytes).toBe(16_000);
    const lines = kernelTable(profile).trimEnd().split('\n');
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['share', 'count', 'total us', 'mean us', 'GB/s', 'kernel'],
      ['80.0 %', '2', '8.0', '4.0', '2.0', 'product'],
      ['20.0 %', '2', '2.0', '1.0', 'norm'],
      ['100.0 %', '4', '10.0', '2.5', '1.6', 'all'],
    ]);
  });

  test('are refused by a backend without a clock, which is named', async () => {
    await expect(profilePass(forwardOf(undefined))).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('the cpu backend has no clock'),
    });
  });

  test('are refused where weights are streamed', async () => {
    const forward = forwardOf(async () => [], [null, null]);
    await expect(profilePass(forward)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('streamed'),
    });
  });
});
