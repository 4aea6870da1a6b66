// A drive for the time of one command.
import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { NtxError } from '../errors.js';
import { bind, findDrive } from './bind.js';
import type { VfioSource } from './binding.js';
import type { Kernel } from './sysfs.js';

export interface TakenDrive {
  readonly source: VfioSource;
  /** Gives the drive back to where it was, after it was closed. */
  giveBack(): Promise<void>;
}

/**
 * A drive that VFIO has stays there. One of the kernel's driver is taken, and comes back when `giveBack` is called or this
 * process ends in whatever way: a watchdog sees to it.
 * @param unsafeNoIommu a drive behind no IOMMU may be taken, with a warning of what is at stake
 */
export async function takeDrive(kernel: Kernel, address: string, unsafeNoIommu = false): Promise<TakenDrive> {
  const before = findDrive(kernel, address);
  const stays = before.driver === 'vfio-pci';
  const watchdog = stays ? null : startWatchdog(before.address);
  try {
    const drive = bind(kernel, address, unsafeNoIommu);
    if (drive.group === null) {
      throw new NtxError('io', `VFIO has made no group for drive ${address}`, '`dmesg | tail` says why');
    }
    return {
      source: { kind: 'vfio', address: drive.address, group: drive.group, noIommu: !drive.behindIommu },
      giveBack: async () => watchdog?.end(),
    };
  } catch (error) {
    await watchdog?.end();
    throw error;
  }
}

/** Its pipe closes with this process, or by `end`, which waits until it has given the drive back. */
function startWatchdog(address: string): { end(): Promise<void> } {
  const script = fileURLToPath(new URL('./watchdog.js', import.meta.url));
  const watchdog = spawn(process.execPath, [script, address], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = new Promise<void>((resolve) => {
    watchdog.once('exit', () => resolve());
    watchdog.once('error', () => resolve());
  });
  const pipe = watchdog.stdin as Socket;
  watchdog.unref();
  pipe.unref();
  return {
    end: () => {
      watchdog.ref();
      pipe.end();
      return ended;
    },
  };
}
