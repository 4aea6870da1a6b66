// A FileReader over node:fs for tests, whose reads can be made late or fail.
import { closeSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { NtxError } from '../../src/errors.js';
import type { FileReader, ReadRequest } from '../../src/streaming/file-reader.js';

/** Called before each read: may wait, or throw what the read fails with. */
export type Disturb = (request: ReadRequest, count: number) => Promise<void> | void;

export class TestReader implements FileReader {
  readonly name = 'node:fs, for tests';
  readonly alignment = 512;
  readonly maxBytes = 2 ** 30;
  readonly depth = 64;
  disturb: Disturb | null = null;
  /** Called after each read with what it brought. */
  damage: ((bytes: Uint8Array, count: number) => void) | null = null;
  /** Reads that have begun. */
  count = 0;
  /** Reads that have not ended. */
  open = 0;
  readonly #files: number[];
  #closed = false;

  constructor(private readonly paths: readonly string[]) {
    this.#files = paths.map((path) => openSync(path, 'r'));
  }

  async read(request: ReadRequest): Promise<void> {
    if (this.#closed) throw new Error('a read after close()');
    this.open++;
    try {
      const count = this.count++;
      await this.disturb?.(request, count);
      await sleep(0);
      const { file, offset, bytes, memory, at } = request;
      const view = memory.view(at, bytes);
      for (let done = 0; done < bytes; ) {
        const got = readSync(this.#files[file], view, done, bytes - done, offset + done);
        if (got === 0) throw new Error(`the file ends at byte ${offset + done}`);
        done += got;
      }
      this.damage?.(view, count);
    } finally {
      this.open--;
    }
  }

  async close(): Promise<void> {
    if (this.open > 0) throw new Error(`${this.open} reads are under way at close()`);
    this.#closed = true;
    for (const file of this.#files) closeSync(file);
  }

  failure({ file, offset }: ReadRequest): NtxError {
    return new NtxError('io', `${this.paths[file]}: reading at byte ${offset} failed: EIO`, 'check the drive');
  }
}
