import type { GuestParts } from './parts.mjs';

export interface MachineImages {
  readonly parts: GuestParts;
  readonly initramfs: string;
  readonly payload: string;
}

export interface MachineOptions {
  readonly memoryMiB?: number;
  /** Huge pages of 2 MiB that the kernel reserves. */
  readonly hugePages?: number;
  /**
   * Default 1. With more of them QEMU 10.0 loses its way once in some ten boots: the end of an interrupt of a processor's timer,
   * after which that processor hears of nothing (`info lapic` shows it in service for ever), or a breakpoint of the kernel that
   * changes its own code, which ends it.
   */
  readonly processors?: number;
  /** Default true. */
  readonly iommu?: boolean;
  /** QEMU's arguments for drives. */
  readonly drives: readonly string[];
}

export interface Ran {
  readonly status: number;
  readonly output: string;
}

/** An emulated machine with NVMe drives behind an IOMMU, and an agent in it that runs shell commands. */
export class Machine {
  /** Starts a machine and waits until its agent answers. */
  static boot(images: MachineImages, options: MachineOptions): Promise<Machine>;
  /** What kernel and init have written. */
  readonly console: string;
  /** Runs a shell line inside of the payload to its end; one after the other. */
  run(line: string, timeoutMs?: number): Promise<Ran>;
  /** As run(); throws when the line fails. */
  must(line: string, timeoutMs?: number): Promise<string>;
  /** Waits until the line that runs has written this. */
  seen(text: string, timeoutMs?: number): Promise<void>;
  /** The block device of the drive at a PCI address ("nvme0n1"): numbers change from boot to boot. */
  blockDevice(address: string): Promise<string>;
  /** A command of QEMU's machine protocol. */
  qmp(execute: string, args?: object): Promise<unknown>;
  /** A line of QEMU's monitor for people. */
  hmp(line: string): Promise<string>;
  /** Writes of a drive to addresses that it had not been given, as the IOMMU has reported them. */
  dmaFaults(): Promise<string>;
  close(): Promise<void>;
}
