// What tests ask of a drive in the guest: test/nvme/guest/drive.mjs does it there.
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import type { Machine } from '../../scripts/guest/machine.mjs';

/** Byte of the drive, bytes, and how far after a page they go. */
export type ReadStep = readonly [offset: number, bytes: number, shift: number];

/** Opens a drive and does the steps; a line of JSON for each, after one that describes the drive. */
export async function driveSteps(machine: Machine, address: string, steps: readonly object[], options: object = {}) {
  const line = `node /ntx/guest/drive.mjs '${JSON.stringify({ address, options, steps })}'`;
  const { output } = await machine.run(line);
  const lines = output.split('\n').filter((one) => one.startsWith('{'));
  if (lines.length === 0) throw new Error(output);
  return lines.map((one): Record<string, unknown> => JSON.parse(one));
}

export function hashOf(data: Uint8Array, offset: number, bytes: number): string {
  return createHash('sha256')
    .update(data.subarray(offset, offset + bytes))
    .digest('hex');
}

/** Reads all of these at once and compares them with what the drive holds. */
export async function compareReads(
  machine: Machine,
  address: string,
  data: Uint8Array,
  reads: readonly ReadStep[],
  options: object = {},
) {
  const [info, ...rest] = await driveSteps(machine, address, [{ reads }, { stats: 1 }], options);
  expect(rest[0]).toEqual({ ok: reads.map(([offset, bytes]) => hashOf(data, offset, bytes)) });
  expect(rest.at(-1)).toEqual({ closed: true });
  return { info: info.info, stats: rest[1].ok as Record<string, number> };
}

/** Ranges that differ in every run: any offset, from one byte to `most`, to any address. */
export function randomReads(count: number, most: number, driveBytes: number): ReadStep[] {
  return Array.from({ length: count }, () => {
    const bytes = 1 + Math.floor(most ** Math.random());
    return [Math.floor(Math.random() * (driveBytes - bytes)), bytes, Math.floor(Math.random() * 4097)] as const;
  });
}
