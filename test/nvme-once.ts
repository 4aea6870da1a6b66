// Global setup of the tests on an emulated drive: where they are left out, the run says so at its end, beside the counts.
import { guestObstacle } from '../scripts/guest/parts.mjs';

/** Why there are no tests on an emulated drive; null: there are. */
export function nvmeObstacle(): string | null {
  return process.env.NTX_TEST_SKIP_NVME === '1' ? 'NTX_TEST_SKIP_NVME=1 is set' : guestObstacle();
}

export default function tellNvme(): (() => void) | undefined {
  const obstacle = nvmeObstacle();
  if (obstacle === null) return undefined;
  return () => {
    console.warn(`\nNOT RUN: the tests on an emulated NVMe drive (test/nvme): ${obstacle}. VFIO stays untested.`);
  };
}
