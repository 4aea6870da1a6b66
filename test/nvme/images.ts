import { buildInitramfs, buildPayload } from '../../scripts/guest/images.mjs';
import type { MachineImages } from '../../scripts/guest/machine.mjs';
import { guestParts } from '../../scripts/guest/parts.mjs';
import { nvmeObstacle } from '../nvme-once.js';

/** The run tells it (test/nvme-once.ts). */
export const SKIP_NVME = nvmeObstacle() !== null;

/** Fails, with what to do, where parts of the machine cannot be fetched or built. */
export function machineImages(findParts = guestParts): MachineImages {
  try {
    const parts = findParts();
    const scripts = new URL('./guest', import.meta.url).pathname;
    return { parts, initramfs: buildInitramfs(parts), payload: buildPayload(parts, scripts) };
  } catch (error) {
    const advice = 'NTX_TEST_SKIP_NVME=1 leaves these tests out';
    throw new Error(`there is no emulated machine: ${(error as Error).message}; ${advice}`, { cause: error });
  }
}
