// Reads through Node's own files, for systems where the host addon is not built.
import { type FileHandle, open } from 'node:fs/promises';
import type { FileReader, ReadRequest } from './file-reader.js';
import { fileEnded, openFailed, readCancelled, readFailed } from './read-errors.js';

/** libuv's pool has four threads by default. */
const DEPTH = 4;
const MAX_BYTES = 8 << 20;

/** Throws NtxError('io') where a file cannot be opened. */
export async function openNodeReader(paths: readonly string[]): Promise<FileReader> {
  const handles: FileHandle[] = [];
  try {
    for (const path of paths) handles.push(await open(path, 'r'));
  } catch (error) {
    await Promise.all(handles.map((handle) => handle.close()));
    throw openFailed((error as Error).message, error);
  }
  return new NodeReader(paths, handles);
}

class NodeReader implements FileReader {
  readonly name = `node:fs, buffered, ${DEPTH} x ${MAX_BYTES >> 20} MiB`;
  readonly alignment = 1;
  readonly maxBytes = MAX_BYTES;
  readonly depth = DEPTH;
  readonly #waiting: (() => void)[] = [];
  readonly #reads = new Set<Promise<void>>();
  #inFlight = 0;
  #closing: Promise<void> | null = null;

  constructor(
    readonly paths: readonly string[],
    readonly handles: readonly FileHandle[],
  ) {}

  read(request: ReadRequest): Promise<void> {
    const read = this.#readAll(request);
    this.#reads.add(read);
    const remove = () => this.#reads.delete(read);
    read.then(remove, remove);
    return read;
  }

  close(): Promise<void> {
    this.#closing ??= Promise.resolve().then(async () => {
      await Promise.allSettled([...this.#reads]);
      await Promise.all(this.handles.map((handle) => handle.close()));
    });
    return this.#closing;
  }

  async #readAll({ file, offset, bytes, memory, at }: ReadRequest): Promise<void> {
    const pieces: Promise<void>[] = [];
    for (let done = 0; done < bytes; done += MAX_BYTES) {
      const into = memory.view(at + done, Math.min(MAX_BYTES, bytes - done));
      pieces.push(this.#inTurn(file, () => this.#readPiece(file, offset + done, into)));
    }
    const settled = await Promise.allSettled(pieces); // none may write to the memory any more when this rejects
    for (const piece of settled) if (piece.status === 'rejected') throw piece.reason;
  }

  async #inTurn(file: number, work: () => Promise<void>): Promise<void> {
    if (this.#inFlight >= DEPTH) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#inFlight++;
    try {
      if (this.#closing !== null) throw readCancelled(this.paths[file]);
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#inFlight--;
    }
  }

  async #readPiece(file: number, offset: number, into: Uint8Array): Promise<void> {
    const path = this.paths[file];
    for (let done = 0; done < into.length; ) {
      const position = offset + done;
      let bytesRead: number;
      try {
        ({ bytesRead } = await this.handles[file].read(into, done, into.length - done, position));
      } catch (error) {
        throw readFailed(path, position, error instanceof Error ? error.message : String(error), error);
      }
      if (bytesRead === 0) throw fileEnded(path, position);
      done += bytesRead;
    }
  }
}
