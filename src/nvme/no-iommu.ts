// Drives that stand behind no IOMMU: refused unless somebody who knows what is at stake insists (`--unsafe-no-iommu`).
import { NtxError } from '../errors.js';
import type { DriveEntry, Kernel } from './sysfs.js';

const STAKES =
  'nothing keeps its writes to the memory that is meant for them: a bug of ntx, of the drive or of its firmware can overwrite ' +
  'any memory of this machine, and with it the data of all its programs and file systems';

const SWITCH = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode';

/** CAP_SYS_RAWIO opens VFIO's group, CAP_SYS_ADMIN tells physical addresses (include/uapi/linux/capability.h). */
const CAPABILITIES = { CAP_SYS_RAWIO: 17n, CAP_SYS_ADMIN: 21n };

/** Throws NtxError('unsupported') for a drive behind no IOMMU, unless `allowed`, and then says what is at stake. */
export function checkIommu(drive: DriveEntry, allowed: boolean): void {
  if (drive.behindIommu) return;
  if (!allowed) {
    throw new NtxError(
      'unsupported',
      `drive ${drive.address} stands behind no IOMMU: ${STAKES}`,
      "turn on VT-d or AMD-Vi in the firmware's setup, and add intel_iommu=on (Intel) to the kernel's command line; " +
        'who would lose nothing by it may give --unsafe-no-iommu (docs/nvme.md)',
    );
  }
  process.emitWarning(
    `drive ${drive.address} is driven without an IOMMU: ${STAKES}. Save your work, unmount what must not be lost, and ` +
      'restart the machine afterwards',
    { type: 'UnsafeNoIommu' },
  );
}

/** Throws NtxError('unsupported') unless the kernel lets this process drive devices without an IOMMU. vfio is loaded. */
export function checkNoIommuMode(kernel: Kernel): void {
  const refuse = (message: string, advice: string) => new NtxError('unsupported', message, advice);
  const mode = kernel.text(SWITCH);
  if (mode === null) {
    throw refuse(
      "this kernel's VFIO has no mode without an IOMMU: it was built without the option CONFIG_VFIO_NOIOMMU",
      "use a kernel that has it (Debian's have not), or a machine with an IOMMU",
    );
  }
  if (mode !== 'Y' && mode !== '1') {
    throw refuse(
      "VFIO's mode without an IOMMU is off",
      `turn it on, which taints the kernel: echo 1 | sudo tee ${SWITCH}`,
    );
  }
  const capabilities = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(kernel.text('/proc/self/status') ?? '')?.[1] ?? 0}`);
  for (const [name, bit] of Object.entries(CAPABILITIES)) {
    if (((capabilities >> bit) & 1n) === 0n) {
      throw refuse(
        `without an IOMMU, drives are driven with ${name} alone, which this process has not`,
        'run with sudo',
      );
    }
  }
}
