// What this machine is, for results that are kept and for `ntx doctor`.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import os from 'node:os';

export interface Machine {
  readonly cpu: string;
  /** Cores that this process may use. */
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
}

export function describeMachine(): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() || os.arch(),
    cores: os.availableParallelism(),
    memoryBytes: Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, os.totalmem()),
    // Major and minor version: the rest names one vendor's build.
    system: `${os.type()} ${os.release().split('.').slice(0, 2).join('.')} ${os.arch()}`,
    node: process.version,
  };
}

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

/** "g++ 12.2.0", of the compiler that the build would take (scripts/native/environment.mjs), or null. */
export function findCompiler(): string | null {
  for (const command of [process.env.CXX, 'g++', 'clang++']) {
    if (!command) continue;
    const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8', timeout: 10_000 });
    if (status === 0) return `${command} ${/\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] ?? ''}`.trim();
  }
  return null;
}

export interface HugePages {
  /** always, madvise, never; null where the kernel has no transparent huge pages. */
  readonly transparent: string | null;
  /** Pages reserved by the administrator (vm.nr_hugepages). */
  readonly reserved: number;
}

export function describeHugePages(): HugePages {
  const modes = textOf('/sys/kernel/mm/transparent_hugepage/enabled');
  const reserved = /^HugePages_Total:\s+(\d+)/m.exec(textOf('/proc/meminfo') ?? '');
  return { transparent: /\[(\w+)\]/.exec(modes ?? '')?.[1] ?? null, reserved: Number(reserved?.[1] ?? 0) };
}

/** The loaded NVIDIA driver's version, or null. */
export function findNvidiaDriver(): string | null {
  const text = textOf('/proc/driver/nvidia/version');
  return text === null ? null : (/\d+\.\d+(\.\d+)?/.exec(text)?.[0] ?? 'of unknown version');
}

/** The path of the Vulkan loader, or null. */
export function findVulkanLoader(): string | null {
  const folders = [`/usr/lib/${os.machine()}-linux-gnu`, '/usr/lib64', '/usr/lib', '/usr/local/lib'];
  const paths = folders.filter(existsSync).flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`));
  return paths.find((path) => path.endsWith('/libvulkan.so.1')) ?? null;
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
