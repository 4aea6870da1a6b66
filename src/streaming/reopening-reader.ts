import type { HostRange } from '../backend/backend.js';
import type { FileReader, ReadRequest } from './file-reader.js';

/**
 * A reader that opens its files anew after a read has failed: a drive that was gone, or a file that was cut short, may be well
 * again. A file that was written to may hold other bytes then: only who compares checksums may read on.
 */
export class ReopeningReader implements FileReader {
  #reader: FileReader;
  #failed = false;
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
    if (this.#failed && !this.#closed) await this.#reopen();
    const read = this.#reader.read(request);
    const reads = this.#reads;
    reads.add(read);
    try {
      await read;
    } catch (error) {
      // A reader that has been replaced meanwhile says nothing of the present one.
      if (reads === this.#reads) this.#failed = true;
      throw error;
    } finally {
      reads.delete(read);
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
    this.#failed = false;
    fresh.attach?.(this.#attached);
    // Closing at once would cancel those that are still under way.
    this.#closings.push(Promise.allSettled([...reads]).then(() => old.close()));
  }
}
