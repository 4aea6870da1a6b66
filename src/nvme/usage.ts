// Who uses a drive: what a change of its driver would pull the ground from under.
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import type { DriveEntry, Kernel } from './sysfs.js';

export interface Use {
  /** "nvme0n1p2" */
  readonly device: string;
  /** "mounted on /data", "swap", "held by dm-0". */
  readonly how: string;
}

/** Everything of the kernel that stands on a drive's namespaces and partitions. */
export function usesOf(kernel: Kernel, drive: DriveEntry): Use[] {
  const mounts = mountsByNumber(kernel);
  const swaps = swapDevices(kernel);
  return drive.namespaces
    .flatMap((namespace) => [namespace, ...namespace.partitions])
    .flatMap(({ name }) => {
      const folder = `/sys/class/block/${name}`;
      const mounted = (mounts.get(kernel.text(`${folder}/dev`) ?? '') ?? []).map((where) => `mounted on ${where}`);
      const held = kernel
        .names(`${folder}/holders`)
        .map((holder) => `held by ${holder} (LVM, MD, dm-crypt or the like)`);
      const hows = [...mounted, ...(swaps.has(name) ? ['swap'] : []), ...held];
      return hows.map((how) => ({ device: name, how }));
    });
}

/** Mount points by "major:minor". Btrfs and others with numbers of their own name the device as the source. */
function mountsByNumber(kernel: Kernel): Map<string, string[]> {
  const mounts = new Map<string, string[]>();
  const add = (number: string, where: string) => mounts.set(number, [...(mounts.get(number) ?? []), where]);
  for (const line of (kernel.text('/proc/self/mountinfo') ?? '').split('\n')) {
    const fields = line.split(' ');
    const where = fields[4]?.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
    if (where === undefined) continue;
    add(fields[2], where);
    const source = fields[fields.indexOf('-') + 2]?.match(/^\/dev\/(\w+)$/);
    const number = source && kernel.text(`/sys/class/block/${source[1]}/dev`);
    if (number && number !== fields[2]) add(number, where);
  }
  return mounts;
}

function swapDevices(kernel: Kernel): Set<string> {
  const lines = (kernel.text('/proc/swaps') ?? '').split('\n').slice(1);
  return new Set(lines.flatMap((line) => /^\/dev\/(\S+)/.exec(line)?.[1] ?? []));
}

/**
 * Claims a drive's namespaces as a file system does on mounting, so that nobody else can until `release`: what usesOf() cannot
 * see (ZFS, mounts of other containers) refuses the claim.
 */
export function claim(kernel: Kernel, drive: DriveEntry): { refused: Use[]; release: () => void } {
  const files: number[] = [];
  const refused: Use[] = [];
  // A claim of the whole namespace and of one of its partitions exclude each other.
  for (const { name } of drive.namespaces) {
    try {
      files.push(openSync(join(kernel.root, '/dev', name), constants.O_RDONLY | constants.O_EXCL));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const how =
        code === 'EBUSY' ? 'in use by the kernel (ZFS, or a mount of another container)' : `not to be opened: ${code}`;
      refused.push({ device: name, how });
    }
  }
  return { refused, release: () => files.splice(0).forEach(closeSync) };
}
