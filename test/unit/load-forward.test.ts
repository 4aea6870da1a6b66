import { expect, test } from 'vitest';
import { readSizeFor } from '../../src/load-forward.js';
import type { ExecutablePlan } from '../../src/streaming/recording.js';

const MIB = 2 ** 20;

/** A plan that reads units of so many MiB. */
function reading(...sizes: number[]): ExecutablePlan {
  const transfers = sizes.map((size, unit) => ({
    unit,
    slot: 0,
    staging: 0,
    extents: [{ file: 0, offset: 0, bytes: size * MIB, at: 0 }],
  }));
  const copied = { unit: sizes.length, slot: 0, staging: null, extents: [] };
  return {
    tiers: [...sizes.map(() => 'disk' as const), 'host-copy'],
    slots: [400 * MIB],
    staging: [400 * MIB],
    schedules: [{ maxRows: 1, transfers: [...transfers, copied], onCpu: [] }],
  };
}

test('long units are read with more requests at a time', () => {
  const size = { depth: 16, maxBytes: MIB / 2 };
  expect(readSizeFor(reading(396, 85), size)).toEqual({ depth: 32, maxBytes: MIB / 2 });
  expect(readSizeFor(reading(396, 10), size)).toEqual(size);
  expect(readSizeFor(reading(51), size)).toEqual(size);
});
