// Moving a drive between the kernel's driver and vfio-pci, and back whatever happens in between.
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { NtxError } from '../errors.js';
import { checkIommu, checkNoIommuMode } from './no-iommu.js';
import { type DriveEntry, groupNode, type Kernel, listDrives, liveNeighbours } from './sysfs.js';
import { claim, type Use, usesOf } from './usage.js';

const PCI = '/sys/bus/pci/devices';
/** Outlives processes, not the machine's next start, which forgets all bindings too. */
const RECORDS = '/run/ntx/nvme';

/** What a drive has to go back to. */
interface BindRecord {
  readonly address: string;
  readonly driver: string;
  readonly serial: string | null;
}

/** The drive at a PCI address. Throws NtxError('bad-argument') that lists those that are there. */
export function findDrive(kernel: Kernel, address: string): DriveEntry {
  const drives = listDrives(kernel);
  const found = drives.find((drive) => drive.address === address || drive.address === `0000:${address}`);
  if (found) return found;
  const there = drives.map((drive) => drive.address).join(', ') || 'none';
  throw new NtxError(
    'bad-argument',
    `there is no NVMe drive at ${address}; there are: ${there}`,
    'see `ntx nvme list`',
  );
}

/**
 * Throws NtxError('unsupported') with what stands in the way of taking a drive from the kernel.
 * @param unsafeNoIommu a drive behind no IOMMU may be taken, with a warning of what is at stake
 */
export function checkMayBind(kernel: Kernel, drive: DriveEntry, unsafeNoIommu = false): void {
  const refuse = (message: string, advice: string) => new NtxError('unsupported', message, advice);
  const uses = usesOf(kernel, drive);
  if (uses.length > 0) {
    throw refuse(
      `drive ${drive.address} is in use: ${usesText(uses)}`,
      "unmount its file systems (umount), swapoff its swap, and stop what holds it; never take the system's own drive",
    );
  }
  checkIommu(drive, unsafeNoIommu);
  const neighbours = liveNeighbours(kernel, drive);
  if (neighbours.length > 0) {
    const list = neighbours.map(({ address, driver }) => `${address} (${driver})`).join(', ');
    throw refuse(
      `drive ${drive.address} shares IOMMU group ${drive.group} with devices that are in use: ${list}`,
      'put the drive into another slot: devices of one group cannot be kept apart',
    );
  }
}

function usesText(uses: readonly Use[]): string {
  return uses.map(({ device, how }) => `${device} is ${how}`).join(', ');
}

/**
 * Gives a drive to vfio-pci. What has to come back is recorded first, so that `restore` works after a crash too.
 * @throws NtxError `unsupported` (in use, no IOMMU, shared group), `io` (not permitted, no vfio-pci)
 */
export function bind(kernel: Kernel, address: string, unsafeNoIommu = false): DriveEntry {
  const drive = findDrive(kernel, address);
  if (drive.driver === 'vfio-pci') {
    checkIommu(drive, unsafeNoIommu);
    return drive;
  }
  checkMayBind(kernel, drive, unsafeNoIommu);
  loadVfioPci(kernel);
  if (!drive.behindIommu) checkNoIommuMode(kernel);
  const { refused, release } = claim(kernel, drive);
  try {
    if (refused.length > 0) {
      const advice = 'run as root (sudo), after what uses the drive has been stopped';
      throw new NtxError('unsupported', `drive ${drive.address} cannot be had: ${usesText(refused)}`, advice);
    }
    if (drive.driver) record(kernel, { address: drive.address, driver: drive.driver, serial: drive.serial });
    moveTo(kernel, drive, 'vfio-pci');
  } catch (error) {
    if (kernel.target(`${PCI}/${drive.address}/driver`) !== drive.driver) unbind(kernel, drive.address);
    throw error;
  } finally {
    release();
  }
  return findDrive(kernel, drive.address);
}

/** Gives a drive back to the kernel's driver. Throws NtxError('io') while a process uses it. */
export function unbind(kernel: Kernel, address: string): DriveEntry {
  const drive = findDrive(kernel, address);
  if (drive.driver === 'vfio-pci') {
    checkFree(kernel, drive);
    moveTo(kernel, drive, null);
  } else if (drive.driver === null) {
    moveTo(kernel, drive, null);
  }
  rmSync(recordPath(kernel, drive.address), { force: true });
  return findDrive(kernel, drive.address);
}

/** Gives back every drive that ntx has taken (and one that is named); returns those. */
export function restore(kernel: Kernel, address?: string): DriveEntry[] {
  // Of a record that was cut off, the name is there.
  const recorded = kernel.names(RECORDS).map((name) => basename(name, '.json'));
  const there = new Set(listDrives(kernel).map((drive) => drive.address));
  const addresses = address === undefined ? recorded.filter((one) => there.has(one)) : [address];
  return addresses.map((one) => unbind(kernel, one));
}

function recordPath(kernel: Kernel, address: string): string {
  return join(kernel.root, RECORDS, `${address}.json`);
}

function record(kernel: Kernel, what: BindRecord): void {
  mkdirSync(join(kernel.root, RECORDS), { recursive: true });
  writeFileSync(recordPath(kernel, what.address), JSON.stringify(what));
}

function loadVfioPci(kernel: Kernel): void {
  const folder = '/sys/bus/pci/drivers/vfio-pci';
  if (kernel.real(folder) !== null) return;
  spawnSync('modprobe', ['vfio-pci'], { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
  if (kernel.real(folder) !== null) return;
  throw new NtxError('io', "the kernel's driver vfio-pci is not loaded", 'run "sudo modprobe vfio-pci"');
}

/** Through driver_override: no other device of the same kind is touched. `driver` null: whichever the kernel would choose. */
function moveTo(kernel: Kernel, drive: DriveEntry, driver: string | null): void {
  const folder = `${PCI}/${drive.address}`;
  const current = kernel.target(`${folder}/driver`);
  write(kernel, `${folder}/driver_override`, driver ?? '\n');
  if (current !== null) write(kernel, `${folder}/driver/unbind`, drive.address);
  write(kernel, '/sys/bus/pci/drivers_probe', drive.address);
  const now = kernel.target(`${folder}/driver`);
  if (driver === null ? now !== null && now !== 'vfio-pci' : now === driver) return;
  throw new NtxError(
    'io',
    `drive ${drive.address} did not go to ${driver ?? 'its own driver'}: it is with ${now ?? 'none'}`,
    '`dmesg | tail` says why; `ntx nvme restore` gives the drive back to the kernel',
  );
}

function write(kernel: Kernel, path: string, text: string): void {
  try {
    writeFileSync(join(kernel.root, path), text);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const advice = code === 'EACCES' || code === 'EPERM' ? 'run the command with sudo' : '`dmesg | tail` says why';
    throw new NtxError('io', `${path} cannot be written: ${message}`, advice, { cause: error });
  }
}

/** A drive that a process has open stays with it: taking it away would hang until that process ends. */
function checkFree(kernel: Kernel, drive: DriveEntry): void {
  const node = groupNode(drive);
  if (node === null) return;
  try {
    closeSync(openSync(join(kernel.root, node), constants.O_RDWR));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') return;
    throw new NtxError(
      'io',
      `drive ${drive.address} is being read by another process`,
      'end it first, then try again',
      {
        cause: error,
      },
    );
  }
}

/** The limit of locked memory of this process in bytes. */
export function lockedMemoryLimit(): number {
  const line = /^Max locked memory\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  return line?.[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line?.[1] ?? 0);
}
