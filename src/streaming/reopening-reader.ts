import type { HostRange } from '../backend/backend.js';
import type { FileReader, ReadRequest } from './file-reader.js';

/**
 * A reader that opens its files anew when a read has failed, and reads once more: a drive that was gone, or a file that was cut
 * short, may be well again since they were opened. A file that was written to may hold other bytes then: only who compares
 * checksums may read on.
 */
export class ReopeningReader implements FileReader {
  #reader: FileReader;
  #closed = false;
  #reopening: Promise<void> | null = null;
  readonly #attached: HostRange[] = [];
  /** Of the present reader. */
  #reads = new Set<Promise<void>>();
  readonly #closings: Promise<void>[] = [];

  constructor(
    first: FileReader,
    private readonly open: () => Promise<FileReader>,
  ) {
    this.#reader = first;
  }

  get name(): string {
    return this.#reader.name;
  }

  get alignment(): number {
    return this.#reader.alignment;
  }

  get maxBytes(): number {
    return this.#reader.maxBytes;
  }

  get depth(): number {
    return this.#reader.depth;
  }

  async read(request: ReadRequest): Promise<void> {
    const reads = this.#reads;
    try {
      await this.#read(request);
    } catch (error) {
      if (this.#closed) throw error;
      if (reads === this.#reads) await this.#reopen();
      await this.#read(request);
    }
  }

  attach(ranges: readonly HostRange[]): void {
    this.#attached.push(...ranges);
    this.#reader.attach?.(ranges);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#reopening?.catch(() => {});
    await Promise.all([this.#reader.close(), ...this.#closings]);
  }

  async #read(request: ReadRequest): Promise<void> {
    const read = this.#reader.read(request);
    const reads = this.#reads;
    reads.add(read);
    try {
      await read;
    } finally {
      reads.delete(read);
    }
  }

  #reopen(): Promise<void> {
    this.#reopening ??= this.#replace().finally(() => {
      this.#reopening = null;
    });
    return this.#reopening;
  }

  async #replace(): Promise<void> {
    const fresh = await this.open();
    const [old, reads] = [this.#reader, this.#reads];
    this.#reader = fresh;
    this.#reads = new Set();
    fresh.attach?.(this.#attached);
    // Closing at once would cancel those that are still under way.
    this.#closings.push(Promise.allSettled([...reads]).then(() => old.close()));
  }
}
