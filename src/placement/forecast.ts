// What a plan comes to when its drives are not as fast any more as when it was made.
import type { Transfer } from './plan.js';
import type { Placement } from './plan-for.js';
import { predictPlan } from './planner.js';
import type { PlanRequest } from './request.js';

/**
 * Seconds of a pass of one row, by the planner's own simulation of the plan as it is.
 * @param readSeconds in which the drives now read what such a pass reads, with nothing beside them
 */
export function forecastPass({ request, answer }: Pick<Placement, 'request' | 'answer'>, readSeconds: number): number {
  const { plan } = answer;
  const slower = readSeconds / knownReadSeconds(request, plan.schedules[0].transfers);
  const drives = request.drives.map((drive) => ({
    ...drive,
    bytesPerSecond: drive.bytesPerSecond / slower,
    requestSeconds: drive.requestSeconds * slower,
    latencySeconds: drive.latencySeconds * slower,
  }));
  return predictPlan({ ...request, drives }, plan)[0].seconds;
}

/** The same seconds as the plan took them to be: of the drive that takes longest. */
export function knownReadSeconds({ drives, files }: PlanRequest, transfers: readonly Transfer[]): number {
  const extents = transfers.flatMap((transfer) => transfer.extents);
  const seconds = drives.map((drive, index) => {
    const own = extents.filter(({ file }) => files[file].drive === index);
    const bytes = own.reduce((sum, extent) => sum + extent.bytes, 0);
    const flow = bytes / drive.bytesPerSecond + own.length * drive.requestSeconds;
    return Math.max(flow, (own.length * drive.latencySeconds) / drive.queueDepth);
  });
  return Math.max(...seconds);
}
