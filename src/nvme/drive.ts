import { NtxError } from '../errors.js';
import {
  type DriveOptions,
  loadVfioAddon,
  type NativeDrive,
  type NativeDriveInfo,
  type NativeDriveStats,
  type SimSource,
  type VfioSource,
} from './binding.js';
import { statusSentence } from './completion-status.js';

/** Bytes of the drive, and where they go in a view. */
export interface DriveRun {
  readonly offset: number;
  readonly bytes: number;
  readonly at: number;
}

/** As the addon's DriveEvents have it. */
interface DriveEvent {
  readonly job: number;
  readonly error: string;
  readonly type: number;
  readonly code: number;
  readonly offset: number;
}

interface Waiting {
  resolve(): void;
  reject(error: NtxError): void;
  readonly what: string;
  /** What native code writes to. */
  readonly view: Uint8Array | null;
}

/** An NVMe drive that this process drives by itself, to read. */
export class NvmeDrive {
  readonly #native: NativeDrive;
  readonly #waiting = new Map<number, Waiting>();
  #closing: Promise<void> | null = null;

  private constructor(
    readonly name: string,
    options: DriveOptions,
    private readonly onLost: (reason: string) => void,
  ) {
    this.#native = new (loadVfioAddon().Drive)(options, (events) => {
      for (let i = 0; i < events.length; i += 5) {
        const [job, error, type, code, offset] = events.slice(i, i + 5);
        this.#end({ job, error, type, code, offset } as DriveEvent);
      }
    });
  }

  /**
   * Brings the controller up (NVMe Base Specification 2.0, 3.5.1).
   * @param onLost called when the drive can be used no more, with the reason; reads end with an error of the same
   * @throws NtxError `io` with the step that failed
   */
  static async open(
    source: VfioSource | SimSource,
    options: DriveOptions = {},
    onLost: (reason: string) => void = () => {},
  ): Promise<NvmeDrive> {
    const name = source.kind === 'vfio' ? `drive ${source.address}` : 'simulated drive';
    const drive = new NvmeDrive(name, options, onLost);
    try {
      await drive.#start(`${name} could not be started`, drive.#native.open(source));
    } catch (error) {
      await drive.close();
      throw error;
    }
    return drive;
  }

  get info(): NativeDriveInfo {
    return this.#native.info();
  }

  get stats(): NativeDriveStats {
    return this.#native.stats();
  }

  /**
   * Fills parts of `view` from the drive. Any offsets and lengths do; those of whole blocks to addresses that are multiples of
   * 4 are written by the drive itself, others are copied.
   * @throws NtxError `io` with what the drive said
   */
  read(view: Uint8Array, runs: readonly DriveRun[]): Promise<void> {
    const flat = Float64Array.from(runs.flatMap(({ offset, bytes, at }) => [offset, bytes, at]));
    return this.#start(`${this.name}: reading failed`, () => this.#native.read(view, flat), view);
  }

  /** Keeps memory pinned for the reads into it, until `unpin`, which has to come before it is freed. */
  pin(view: Uint8Array): Promise<void> {
    return this.#start(`${this.name}: pinning memory failed`, () => this.#native.pin(view), view);
  }

  unpin(view: Uint8Array): Promise<void> {
    return this.#start(`${this.name}: unpinning memory failed`, () => this.#native.unpin(view), view);
  }

  /** For tests: what the drive says of a Read that the reader would not make. */
  probe(command: Parameters<NativeDrive['probe']>[0]): Promise<void> {
    return this.#start(`${this.name}: the probe failed`, () => this.#native.probe(command));
  }

  /** After the reads in flight: shuts the controller down and gives the device back. */
  close(): Promise<void> {
    this.#closing ??= this.#start(`${this.name} could not be closed`, () => this.#native.close());
    return this.#closing;
  }

  #start(what: string, job: number | (() => number), view: Uint8Array | null = null): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        const number = typeof job === 'number' ? job : job();
        this.#waiting.set(number, { resolve, reject, what, view });
      } catch (error) {
        reject(new NtxError('io', `${what}: ${(error as Error).message}`, 'open the drive again', { cause: error }));
      }
    });
  }

  #end({ job, error, type, code, offset }: DriveEvent): void {
    if (job === 0) this.onLost(error);
    const waiting = this.#waiting.get(job);
    if (!waiting) return;
    this.#waiting.delete(job);
    if (error === '' && type === 0 && code === 0) waiting.resolve();
    else waiting.reject(this.#error(waiting.what, { error, type, code, offset }));
  }

  #error(what: string, { error, type, code, offset }: Omit<DriveEvent, 'job'>): NtxError {
    if (type === 0 && code === 0) {
      return new NtxError('io', `${what}: ${error}`, '`ntx nvme status` shows the state of the drive and what to mend');
    }
    const { message, advice } = statusSentence(type, code);
    const where = error === '' ? ` at byte ${offset} of the drive` : ` (${error})`;
    return new NtxError('io', `${what}${where}: ${message}`, advice);
  }
}
