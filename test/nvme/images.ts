import { buildInitramfs, buildPayload } from '../../scripts/guest/images.mjs';
import type { MachineImages } from '../../scripts/guest/machine.mjs';
import { guestParts } from '../../scripts/guest/parts.mjs';

export const SKIP_NVME = process.env.NTX_TEST_SKIP_NVME === '1';
if (SKIP_NVME) console.warn('tests of the emulated drive skipped: NTX_TEST_SKIP_NVME=1 is set, so VFIO stays untested');

/** Fails, with what to do, where the machine cannot be had: silence would look like success. */
export function machineImages(findParts = guestParts): MachineImages {
  try {
    const parts = findParts();
    const scripts = new URL('./guest', import.meta.url).pathname;
    return { parts, initramfs: buildInitramfs(parts), payload: buildPayload(parts, scripts) };
  } catch (error) {
    const advice = 'the tests need Debian 12 or later, or its packages; NTX_TEST_SKIP_NVME=1 tests without';
    throw new Error(`there is no emulated machine: ${(error as Error).message}; ${advice}`, { cause: error });
  }
}
