// What the planner knows of a machine: measured by src/placement/measure, or described in a JSON file. Bytes and seconds
// everywhere; a rate is bytes a second.
import type { DeviceInfo } from '../backend/backend.js';
import type { GgmlType } from '../gguf/types.js';

/** The format of the JSON; a file of another is refused. */
export const MACHINE_FORMAT = 1;

/** A copy of `bytes` at a time. */
export interface CopyRate {
  readonly bytes: number;
  readonly rate: number;
}

/** A product with `rows` rows of activations: bytes of weights that it gets through in a second. */
export interface ProductRate {
  readonly rows: number;
  readonly rate: number;
}

/** By type, each by ascending rows. A type that is absent is estimated from the others (rates.ts). */
export type ProductRates = Readonly<Partial<Record<GgmlType, readonly ProductRate[]>>>;

export interface DeviceDescription {
  readonly backend: DeviceInfo['backend'];
  readonly name: string;
  /** Version of the driver; null where there is none, or nobody says. */
  readonly driver: string | null;
  readonly kind: DeviceInfo['kind'];
  /** All of it; RAM where `hostIsDevice`; null where the device does not say (WebGPU). */
  readonly memoryBytes: number | null;
  readonly hostIsDevice: boolean;
  /** Whether copies run beside kernels (CUDA), or both take turns (WebGPU's one queue). */
  readonly copiesOverlapKernels: boolean;
  /** Whether it copies out of the very pages that the CPU computes with (CUDA), or only out of memory of its own (WebGPU). */
  readonly sharesPages: boolean;
  /** Plain reads of device memory. */
  readonly readRate: number;
  /** From one small op to the next of a recorded list. */
  readonly launchSeconds: number;
  /** Of a pass that computes next to nothing, from submit() to its results in JavaScript. */
  readonly passSeconds: number;
  readonly products: ProductRates;
}

/** Host memory to device memory. */
export interface LinkDescription {
  /** From pinned memory, one copy behind another, by ascending bytes. */
  readonly copies: readonly CopyRate[];
  /** The same from write-combined pinned memory; null where the backend has none. */
  readonly writeCombined: readonly CopyRate[] | null;
  /** What a copy loses by waiting for the pass that frees its slot. */
  readonly copyAfterPassSeconds: number;
  /** What a pass loses by waiting for the copy that fills its slot. */
  readonly passAfterCopySeconds: number;
  /** Of each unit that the CPU computes, beside the bytes: a row's hidden states to the host, the CPU woken, and back. */
  readonly handOverSeconds: number;
}

export interface CpuRates {
  readonly threads: number;
  readonly products: ProductRates;
}

export interface WithLink {
  /** Weights that products of one row get through: with more rows they compute more than they read. */
  readonly readRate: number;
  readonly linkRate: number;
  /** Of those weights. Absent: `readRate` holds for every type. */
  readonly type?: GgmlType | undefined;
}

export interface HostDescription {
  /** Name of the processor. */
  readonly cpu: string;
  /** Cores that this process may use. */
  readonly cores: number;
  readonly memoryBytes: number;
  /** Plain reads by all cores. */
  readonly readRate: number;
  /** Products of all cores but one and copies to the device at the same time; null without a link. */
  readonly withLink: WithLink | null;
  /** By ascending threads; empty where there is no cpu backend. */
  readonly products: readonly CpuRates[];
}

/** A file system, read in the best way that was found. */
export interface DiskDescription {
  readonly mount: string;
  /** "nvme0n1"; null where the system does not say. */
  readonly device: string | null;
  readonly fileSystem: string | null;
  /** Past the page cache (O_DIRECT). */
  readonly direct: boolean;
  /** What offsets and lengths of reads are multiples of. */
  readonly alignment: number;
  /** Reads in flight, and bytes of one. */
  readonly depth: number;
  readonly blockBytes: number;
  readonly rate: number;
  /** Of one small read, alone. */
  readonly requestSeconds: number;
}

/** A factor that a run found a rate to be off by, for people who wonder where a figure comes from. */
export interface Correction {
  readonly date: string;
  readonly resource: string;
  /** The rate was multiplied with it. */
  readonly factor: number;
}

export interface Machine {
  readonly format: typeof MACHINE_FORMAT;
  /** "RTX 3090, PCIe 3.0 x8, 48 GB RAM" */
  readonly name: string;
  /** When it was measured (ISO 8601), or the description written. */
  readonly date: string;
  /** What was not measured, and what stands in for it, a sentence each. */
  readonly assumptions: readonly string[];
  readonly device: DeviceDescription;
  readonly link: LinkDescription | null;
  readonly host: HostDescription;
  /** Empty where no model has been read yet. */
  readonly disks: readonly DiskDescription[];
  readonly corrections: readonly Correction[];
}
