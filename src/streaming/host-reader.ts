// The host addon's file reader: io_uring or a pool of preads, past the page cache where the file system allows it.
import type { HostRange } from '../backend/backend.js';
import type { HostAddon, NativeReader, ReaderSettings, ReaderStatistics } from '../backend/cpu/binding.js';
import { NtxError } from '../errors.js';
import type { FileReader, ReadRequest } from './file-reader.js';
import { fileChanged, fileEnded, openFailed, readCancelled, readFailed } from './read-errors.js';

const MIB = 2 ** 20;
/** Of requests. The addon cuts them at larger blocks, which some file systems have, by itself. */
const MOST_ALIGNMENT = 4096;

interface Pending {
  readonly file: number;
  resolve(): void;
  reject(reason: NtxError): void;
}

export class HostReader implements FileReader {
  readonly name: string;
  readonly alignment: number;
  readonly maxBytes: number;
  readonly depth: number;
  readonly #native: NativeReader;
  readonly #paths: readonly string[];
  readonly #pending = new Map<number, Pending>();
  #closing: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;

  /** Throws NtxError('io') where a file cannot be opened, or io_uring is asked for and refused. */
  constructor(addon: HostAddon, paths: readonly string[], settings: ReaderSettings) {
    this.#paths = paths;
    try {
      this.#native = new addon.Reader(paths, settings, (report) => this.#onEnded(report));
    } catch (error) {
      throw openFailed((error as Error).message, error);
    }
    const direct = this.#native.files().filter((file) => file.direct);
    const wanted = direct.reduce((most, file) => Math.max(most, file.offsetAlignment, file.memoryAlignment), 1);
    this.alignment = Math.min(wanted, MOST_ALIGNMENT);
    this.maxBytes = settings.maxBytes;
    this.depth = settings.depth;
    const method = settings.ioUring ? 'io_uring' : 'pread';
    const size = settings.maxBytes >= MIB ? `${settings.maxBytes / MIB} MiB` : `${settings.maxBytes / 1024} KiB`;
    this.name = `${method}, ${direct.length > 0 ? 'O_DIRECT' : 'buffered'}, ${settings.depth} x ${size}`;
  }

  read({ file, offset, bytes, memory, at }: ReadRequest): Promise<void> {
    if (this.#closing !== null) return Promise.reject(readCancelled(this.#paths[file]));
    return new Promise((resolve, reject) => {
      const id = this.#native.read(file, offset, memory.view(at, bytes));
      this.#pending.set(id, { file, resolve, reject });
    });
  }

  /** Memory whose views end (WebGPU's `map`) is left out: another could come to lie at its address. */
  attach(ranges: readonly HostRange[]): void {
    const lasting = ranges.filter(({ memory, bytes }) => memory.map === undefined && bytes > 0);
    if (lasting.length > 0) this.#native.attach(lasting.map(({ memory, offset, bytes }) => memory.view(offset, bytes)));
  }

  /** Of each file, when it was opened. */
  fileBytes(): readonly number[] {
    return this.#native.files().map(({ bytes }) => bytes);
  }

  statistics(): ReaderStatistics {
    return this.#native.statistics();
  }

  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      this.#native.drop();
      if (this.#pending.size === 0) resolve();
    }).then(() => this.#native.close());
    return this.#closing;
  }

  #onEnded(report: readonly (number | string)[]): void {
    for (let i = 0; i < report.length; i += 3) {
      const id = report[i] as number;
      const pending = this.#pending.get(id);
      if (pending === undefined) throw new NtxError('internal', `read ${id} ended twice`, 'report this');
      this.#pending.delete(id);
      const failure = report[i + 1] as string;
      if (failure === '') pending.resolve();
      else pending.reject(asError(failure, this.#paths[pending.file], report[i + 2] as number));
    }
    if (this.#pending.size === 0) this.#onIdle?.();
  }
}

function asError(failure: string, path: string, byte: number): NtxError {
  if (failure === 'ended') return fileEnded(path, byte);
  if (failure === 'changed') return fileChanged(path, byte);
  if (failure === 'cancelled') return readCancelled(path);
  return readFailed(path, byte, failure);
}
