// What the passes of a plan take beside weights, buffers, slots and staging, before anything of it is there.
import type { DeviceInfo, PassSizes } from '../backend/backend.js';
import { listMemory } from '../backend/list-memory.js';
import type { Model } from '../model/index.js';
import { cpuUnitsBytes } from './cpu-units.js';
import { matricesOf, pack } from './layout.js';
import { smallOf } from './place.js';
import { type ExecutablePlan, recordedOps } from './recording.js';

/** Bytes. Where the host is the device, all of it is the host's. */
export interface PassBytes {
  /** Of recorded lists. */
  readonly device: number;
  readonly host: number;
  /** Of units that the CPU computes beside a device. */
  readonly cpu: number;
}

/**
 * At most so much.
 * @param threads of the CPU
 */
export function passBytes(
  backend: DeviceInfo['backend'],
  model: Model,
  { tiers, schedules }: Pick<ExecutablePlan, 'tiers' | 'schedules'>,
  sizes: PassSizes,
  threads: number,
): PassBytes {
  const weights = matricesOf(model);
  const lists = recordedOps(model, schedules).map((ops) => listMemory(backend, { ops, weights, sizes }, threads));
  const sum = (side: 'device' | 'host') => lists.reduce((bytes, list) => bytes + list[side], 0);
  const cpu = tiers.includes('host-compute')
    ? pack(smallOf(model, tiers)).bytes + cpuUnitsBytes(model, schedules, sizes, threads)
    : 0;
  return { device: sum('device'), host: sum('host'), cpu };
}
