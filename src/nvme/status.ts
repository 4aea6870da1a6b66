// What the machine lacks for reading drives by itself, with the command that mends each.
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { lockedMemoryLimit } from './bind.js';
import { type DriveEntry, groupNode, type Kernel, listDrives, liveNeighbours } from './sysfs.js';
import { usesOf } from './usage.js';

/** As of `ntx doctor` (src/cli/finding.ts). */
export interface NvmeFinding {
  readonly name: string;
  readonly state: 'ok' | 'missing' | 'note';
  readonly found: string;
  readonly advice?: string;
}

/** The driver's own queues and buffers; what reads go to comes on top. */
const LEAST_LOCKED_BYTES = 64 << 20;

/** The machine, then every drive (or one). */
export function nvmeStatus(kernel: Kernel, address?: string): NvmeFinding[] {
  const drives = listDrives(kernel).filter((drive) => address === undefined || drive.address.endsWith(address));
  const none: NvmeFinding = { name: 'drives', state: 'note', found: 'no NVMe drive on PCI' };
  return [
    iommu(kernel),
    driver(kernel),
    hugePages(kernel),
    lockedMemory(),
    ...(drives.length === 0 ? [none] : drives.flatMap((drive) => driveFindings(kernel, drive))),
  ];
}

function iommu(kernel: Kernel): NvmeFinding {
  const units = kernel.names('/sys/class/iommu');
  const groups = kernel.names('/sys/kernel/iommu_groups').length;
  if (units.length > 0 && groups > 0)
    return { name: 'IOMMU', state: 'ok', found: `${units.join(', ')}, ${groups} groups` };
  return {
    name: 'IOMMU',
    state: 'missing',
    found: units.length > 0 ? `${units.join(', ')}, without groups` : 'none at work',
    advice:
      "turn on VT-d or AMD-Vi in the firmware's setup; on Intel add intel_iommu=on to GRUB_CMDLINE_LINUX in " +
      '/etc/default/grub, then sudo update-grub and restart',
  };
}

function driver(kernel: Kernel): NvmeFinding {
  const name = 'vfio-pci';
  if (kernel.real('/sys/bus/pci/drivers/vfio-pci') !== null) return { name, state: 'ok', found: 'loaded' };
  return { name, state: 'missing', found: 'not loaded', advice: 'sudo modprobe vfio-pci' };
}

function hugePages(kernel: Kernel): NvmeFinding {
  const free = Number(/^HugePages_Free:\s+(\d+)/m.exec(kernel.text('/proc/meminfo') ?? '')?.[1] ?? 0);
  if (free >= 16) return { name: 'huge pages', state: 'ok', found: `${free} free` };
  return {
    name: 'huge pages',
    state: 'note',
    found: `${free} free; queues lie on ordinary pages then, which works too`,
    advice: 'sudo sysctl vm.nr_hugepages=32',
  };
}

function lockedMemory(): NvmeFinding {
  const limit = lockedMemoryLimit();
  const found = limit === Number.POSITIVE_INFINITY ? 'unlimited' : `${Math.floor(limit / 2 ** 20)} MiB`;
  if (limit >= LEAST_LOCKED_BYTES && limit === Number.POSITIVE_INFINITY)
    return { name: 'locked memory', state: 'ok', found };
  const enough = limit >= LEAST_LOCKED_BYTES;
  return {
    name: 'locked memory',
    state: enough ? 'note' : 'missing',
    found: `${found} for a user; root has no limit. Reads into memory beyond it are copied`,
    advice: 'add "USER - memlock unlimited" to /etc/security/limits.conf and log in again, or run with sudo',
  };
}

function driveFindings(kernel: Kernel, drive: DriveEntry): NvmeFinding[] {
  const name = drive.address;
  const about = [drive.model, drive.link].filter(Boolean).join(', ');
  const first: NvmeFinding = {
    name,
    state: 'ok',
    found: `driver ${drive.driver ?? 'none'}${about ? `; ${about}` : ''}`,
  };
  const uses = usesOf(kernel, drive).map(({ device, how }) => `${device} is ${how}`);
  const inUse: NvmeFinding[] =
    uses.length === 0 ? [] : [{ name, state: 'note', found: `in use, not to be taken: ${uses.join(', ')}` }];
  return [first, ...inUse, groupFinding(kernel, drive), ...permissions(kernel, drive)];
}

function groupFinding(kernel: Kernel, drive: DriveEntry): NvmeFinding {
  const name = drive.address;
  if (!drive.behindIommu) return { name, state: 'missing', found: 'behind no IOMMU', advice: 'see IOMMU above' };
  const neighbours = liveNeighbours(kernel, drive);
  if (neighbours.length === 0) return { name, state: 'ok', found: `IOMMU group ${drive.group}, alone` };
  const list = neighbours.map((one) => `${one.address} (${one.driver})`).join(', ');
  const advice = 'put the drive into another slot: devices of one group cannot be kept apart';
  return { name, state: 'missing', found: `IOMMU group ${drive.group} with ${list}`, advice };
}

function permissions(kernel: Kernel, drive: DriveEntry): NvmeFinding[] {
  const name = drive.address;
  if (drive.driver !== 'vfio-pci') {
    const found = "with the kernel's driver; ntx takes it after `ntx nvme bind`";
    return [{ name, state: 'note', found, advice: `sudo ntx nvme bind ${drive.address}` }];
  }
  const node = groupNode(drive) ?? '/dev/vfio';
  try {
    accessSync(join(kernel.root, node), constants.R_OK | constants.W_OK);
    return [{ name, state: 'ok', found: `${node} may be opened by this user` }];
  } catch {
    return [{ name, state: 'missing', found: `${node} may not be opened`, advice: `sudo chown $USER ${node}` }];
  }
}
