// What this machine is, for results that are kept and for `ntx doctor`.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
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
