// A reader with the mishaps of drives, for the tests of what stands above it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostRange } from '../src/backend/backend.js';
import type { FileReader, ReadRequest } from '../src/streaming/file-reader.js';
import { fileEnded, readFailed } from '../src/streaming/read-errors.js';

export interface Faults {
  /** Reads that touch this byte of a file fail, as on a bad block; those before it come through. */
  failAt?: { readonly file: number; readonly byte: number } | undefined;
  /** Files end here for all reads that begin from now on. */
  truncateTo?: { readonly file: number; readonly bytes: number } | undefined;
  /** All reads share a drive of so many bytes a second. */
  bytesPerSecond?: number | undefined;
  /** A bit of this byte comes out wrong, as from failing memory or an old copy of the file. */
  flipAt?: { readonly file: number; readonly byte: number } | undefined;
}

/** Wraps a reader. `faults` may be changed at any time: the file is well again when they are gone. */
export class FaultyReader implements FileReader {
  /** What was asked for, in order. */
  readonly requests: ReadRequest[] = [];
  #freeAt = 0;

  constructor(
    private readonly inner: FileReader,
    private readonly paths: readonly string[],
    readonly faults: Faults = {},
  ) {}

  get name(): string {
    return `faulty ${this.inner.name}`;
  }
  get alignment(): number {
    return this.inner.alignment;
  }
  get maxBytes(): number {
    return this.inner.maxBytes;
  }
  get depth(): number {
    return this.inner.depth;
  }

  async read(request: ReadRequest): Promise<void> {
    this.requests.push(request);
    const { file, offset, bytes, memory, at } = request;
    const { failAt, truncateTo, flipAt } = { ...this.faults };
    await this.#takeTime(bytes);
    const touches = (place: { file: number; byte: number } | undefined): place is { file: number; byte: number } =>
      place?.file === file && place.byte >= offset && place.byte < offset + bytes;
    if (truncateTo?.file === file && offset + bytes > truncateTo.bytes) {
      await this.#readUpTo(request, truncateTo.bytes);
      throw fileEnded(this.paths[file], truncateTo.bytes);
    }
    if (touches(failAt)) {
      await this.#readUpTo(request, failAt.byte);
      throw readFailed(this.paths[file], failAt.byte, 'Input/output error');
    }
    await this.inner.read(request);
    if (touches(flipAt)) memory.view(at + flipAt.byte - offset, 1)[0] ^= 1;
  }

  attach(ranges: readonly HostRange[]): void {
    this.inner.attach?.(ranges);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  /** What a drive delivers before it fails. */
  async #readUpTo(request: ReadRequest, end: number): Promise<void> {
    const bytes = Math.max(0, end - request.offset);
    if (bytes > 0) await this.inner.read({ ...request, bytes });
  }

  async #takeTime(bytes: number): Promise<void> {
    if (this.faults.bytesPerSecond === undefined) return;
    const now = performance.now();
    this.#freeAt = Math.max(now, this.#freeAt) + (bytes / this.faults.bytesPerSecond) * 1000;
    await sleep(this.#freeAt - now);
  }
}
