// Reads of staging buffers: those into one buffer follow each other, those into several run at once.
import type { Transfer } from '../placement/plan.js';

/** Bytes that are read for transfers. */
export function bytesRead(transfers: readonly Transfer[]): number {
  return transfers.flatMap(({ extents }) => extents).reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * Runs a lane for each staging buffer, with the transfers that are read into it. Where one fails the others are told that it is
 * over, and it rejects with the first failure when all have ended: nothing is read any more then.
 */
export async function inLanes(
  transfers: readonly Transfer[],
  run: (lane: readonly Transfer[], isOver: () => boolean) => Promise<void>,
): Promise<void> {
  const reads = transfers.filter(({ staging }) => staging !== null);
  const buffers = [...new Set(reads.map(({ staging }) => staging))];
  const failures: unknown[] = [];
  const isOver = () => failures.length > 0;
  const lanes = buffers.map((buffer) => reads.filter(({ staging }) => staging === buffer));
  await Promise.all(lanes.map((lane) => run(lane, isOver).catch((reason) => failures.push(reason))));
  if (isOver()) throw failures[0];
}
