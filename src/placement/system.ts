// What the system says of drives and drivers.
import { readFileSync, statfsSync, statSync } from 'node:fs';

/** Where a path lies. Parts that the system does not tell are null. */
export interface Disk {
  readonly mount: string | null;
  readonly fileSystem: string | null;
  /** The block device ("nvme0n1"). */
  readonly device: string | null;
  /** False also where nothing is known: virtual disks call themselves rotating. */
  readonly solidState: boolean;
  readonly freeBytes: number;
}

export function describeDisk(path: string): Disk {
  const { bavail, bsize } = statfsSync(path);
  const { dev } = statSync(path);
  // The device number of the C library: glibc's makedev.
  const number = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  const mount = (textOf('/proc/self/mountinfo') ?? '')
    .split('\n')
    .map((line) => line.split(' '))
    .find((fields) => fields[2] === number);
  const block = /^DEVNAME=(.*)$/m.exec(textOf(`/sys/dev/block/${number}/uevent`) ?? '');
  const rotational = [`/sys/dev/block/${number}`, `/sys/dev/block/${number}/..`].map((folder) =>
    textOf(`${folder}/queue/rotational`),
  );
  return {
    mount: mount?.[4] ?? null,
    fileSystem: mount?.[mount.indexOf('-') + 1] ?? null,
    device: block?.[1] ?? null,
    solidState: rotational.some((text) => text?.trim() === '0'),
    freeBytes: bavail * bsize,
  };
}

/** The loaded NVIDIA driver's version, or null. */
export function findNvidiaDriver(): string | null {
  const text = textOf('/proc/driver/nvidia/version');
  return text === null ? null : (/\d+\.\d+(\.\d+)?/.exec(text)?.[0] ?? 'of unknown version');
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
