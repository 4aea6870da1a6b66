// The addon of the NVMe driver, native/vfio/addon.cc. Only this file loads it.
import { BUILD_ADDONS, loadAddon } from '../addon.js';
import { NtxError } from '../errors.js';

/** A drive in VFIO's hands. */
export interface VfioSource {
  readonly kind: 'vfio';
  /** "0000:02:00.0" */
  readonly address: string;
  /** Its IOMMU group; without an IOMMU N of /dev/vfio/noiommu-N. */
  readonly group: number;
  /** No IOMMU stands between the drive and the machine's memory (no-iommu.ts). */
  readonly noIommu?: boolean;
}

/** What the simulated drive does wrong, from its read number `command` (from 0) on, for `times` reads. */
export interface SimFault {
  readonly kind: 'status' | 'stall' | 'fatal' | 'gone';
  readonly command?: number;
  readonly times?: number;
  readonly type?: number;
  readonly code?: number;
  readonly doNotRetry?: boolean;
  readonly abortable?: boolean;
  /** A stall ends by itself after these. */
  readonly nanoseconds?: number;
}

/** A drive made of software (native/vfio/sim). */
export interface SimSource {
  readonly kind: 'sim';
  readonly serial?: string;
  readonly bytes?: number;
  readonly blockBytes?: number;
  /** Commands have at most 2^mdts pages of 4 KiB; 0: any number. */
  readonly mdts?: number;
  readonly maxEntries?: number;
  readonly queues?: number;
  readonly doorbellShift?: number;
  readonly hasInterrupts?: boolean;
  readonly neverReady?: boolean;
  readonly removalRequested?: boolean;
  /** The drive reaches the driver's own memory alone, in parts of 2 MiB that lie apart. */
  readonly noIommu?: boolean;
  /** Bytes that can be pinned at once. */
  readonly lockLimit?: number;
  readonly latencyNanoseconds?: number;
  readonly jitterNanoseconds?: number;
  readonly bytesPerSecond?: number;
  readonly faults?: readonly SimFault[];
  /** Its first bytes; the others are zeros. */
  readonly data?: Uint8Array;
}

export interface DriveOptions {
  readonly namespace?: number;
  /** Queue pairs with a thread each; default 1. */
  readonly threads?: number;
  /** Commands in flight in each; default 64. */
  readonly depth?: number;
  /** Bytes of one command at most; default 1 MiB. */
  readonly commandBytes?: number;
  /** After which a command is aborted, after as much again the controller reset; default 8000. */
  readonly timeoutMilliseconds?: number;
  /** Of looking for completions before a thread sleeps until the interrupt; default 10. */
  readonly spinMicroseconds?: number;
  readonly interrupts?: boolean;
}

export interface NativeDriveInfo {
  readonly serial: string;
  readonly model: string;
  readonly firmware: string;
  readonly transport: string;
  /** VS: 0x10400 is 1.4. */
  readonly version: number;
  readonly blockBytes: number;
  readonly bytes: number;
  readonly commandBytes: number;
  /** The drive's own limit of a command; 0: none. */
  readonly transferLimit: number;
  readonly threads: number;
  readonly depth: number;
  readonly interrupts: boolean;
  readonly hugePages: boolean;
}

export interface NativeDriveStats {
  readonly commands: number;
  readonly bytes: number;
  readonly bouncedBytes: number;
  readonly retries: number;
  readonly aborts: number;
  readonly resets: number;
  /** Times that a thread slept until an interrupt. */
  readonly sleeps: number;
  /** Of the simulated drive: writes to addresses that it was never given. */
  readonly dmaFaults?: number;
  readonly mappedBytes?: number;
  /** Of all its commands so far: those of the admin queue, and 0x100 + those of I/O queues. */
  readonly opcodes?: readonly number[];
}

/**
 * The ends of jobs, five values each: the job (0: the drive is lost); an error (empty: none, or one of the drive's own); type and
 * code of the drive's status; the byte of the drive that could not be read.
 */
export type DriveEvents = readonly (number | string)[];

/** Calls return the number of a job, whose end comes as an event. */
export interface NativeDrive {
  open(source: VfioSource | SimSource): number;
  /** `runs`: [byte of the drive, bytes, byte of the view] each. The view stays as it is until the end of the job. */
  read(view: Uint8Array, runs: Float64Array): number;
  /** Keeps memory pinned for reads into it; it has to be unpinned before it is freed. */
  pin(view: Uint8Array): number;
  unpin(view: Uint8Array): number;
  /** For tests: one Read as it is given, into memory of the driver. */
  probe(command: { namespace?: number; block?: number; blocks?: number; prp1?: number; prp2?: number }): number;
  close(): number;
  info(): NativeDriveInfo;
  stats(): NativeDriveStats;
}

export interface VfioAddon {
  readonly Drive: new (options: DriveOptions, onEvents: (events: DriveEvents) => void) => NativeDrive;
  /** [byte of the file, byte of the block device, bytes, FIEMAP_EXTENT_* flags] of every extent. */
  fileExtents(path: string): Float64Array;
  /** Pure parts, for tests. */
  readonly internals: {
    prps(iova: number, bytes: number, page: number, listIova: number): Float64Array;
    /** The physical address of a huge page from the entries of a pagemap. */
    hugePageAddress(entries: BigUint64Array, page: number): number;
    pieces(
      offset: number,
      bytes: number,
      at: number,
      address: number,
      direct: boolean,
      blockBytes: number,
      directBytes: number,
      bounceBytes: number,
    ): Float64Array;
    readonly Rings: new (
      entries: number,
      slots: number,
    ) => { room(): number; put(): number; fetch(): number; answer(id: number): void; take(): number };
    readonly IovaSpace: new (
      ...ranges: number[]
    ) => { take(bytes: number, alignment: number): number; giveBack(address: number, bytes: number): void };
    simulate(
      settings: Omit<SimSource, 'kind'> & { depth?: number; commandBytes?: number; cpuNanoseconds?: number },
      bytes: number,
    ): { seconds: number; busySeconds: number };
  };
}

let loaded: VfioAddon | undefined;

/** The addon; throws NtxError('unsupported') with the reason where there is none. */
export function loadVfioAddon(): VfioAddon {
  loaded ??= load();
  return loaded;
}

function load(): VfioAddon {
  const found = loadAddon<VfioAddon>('ntx_vfio');
  if (found.addon !== null) return found.addon;
  const advice =
    process.platform === 'linux'
      ? `${BUILD_ADDONS}; it needs a C++ compiler`
      : 'read the model from its file: VFIO is a part of Linux';
  throw new NtxError('unsupported', `the NVMe driver of ntx is not here: ${found.reason}`, advice);
}
