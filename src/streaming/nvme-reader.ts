// Reads of an attached model's files: the drive writes to host memory by itself, past kernel and page cache.
import type { HostMemory, HostRange } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { AttachedModel } from '../nvme/attach.js';
import { runsOf } from '../nvme/model-map.js';
import type { FileReader, ReadRequest } from './file-reader.js';
import { readCancelled } from './read-errors.js';

export class NvmeReader implements FileReader {
  readonly name: string;
  /** Of the drive's blocks; addresses only need multiples of 4. */
  readonly alignment: number;
  readonly maxBytes: number;
  readonly depth: number;
  readonly #reads = new Set<Promise<void>>();
  readonly #pins: Promise<Uint8Array | null>[] = [];
  #closing: Promise<void> | null = null;

  /**
   * Readers of one model may be opened side by side; they share the drive's queues.
   * @param paths of the model's files (GgufModel.files), as its requests will count them
   */
  constructor(
    private readonly model: AttachedModel,
    private readonly paths: readonly string[],
  ) {
    const { info } = model.drive;
    this.alignment = info.blockBytes;
    this.maxBytes = info.commandBytes;
    this.depth = info.depth * info.threads;
    this.name = `nvme (${info.transport}), ${info.threads} x ${info.depth} x ${info.commandBytes >> 10} KiB`;
  }

  read(request: ReadRequest): Promise<void> {
    const path = this.paths[request.file];
    if (this.#closing !== null) return Promise.reject(readCancelled(path));
    const read = this.#read(request, path);
    this.#reads.add(read);
    const remove = () => this.#reads.delete(read);
    read.then(remove, remove);
    return read;
  }

  /** Pinned memory costs a read nothing; other memory is pinned for each. That whose views end (WebGPU's `map`) is left out. */
  attach(ranges: readonly HostRange[]): void {
    for (const { memory, offset, bytes } of ranges) {
      if (memory.map === undefined && bytes > 0) this.#pin(memory, offset, bytes);
    }
  }

  close(): Promise<void> {
    this.#closing ??= Promise.resolve().then(async () => {
      await Promise.allSettled([...this.#reads]);
      for (const pin of this.#pins) {
        const view = await pin;
        if (view !== null) await this.model.drive.unpin(view).catch(() => {}); // a drive that is lost has no pins left
      }
    });
    return this.#closing;
  }

  async #read({ file, offset, bytes, memory, at }: ReadRequest, path: string): Promise<void> {
    const index = this.model.gguf.files.findIndex((one) => one.path === this.paths[file]);
    try {
      await this.model.drive.read(memory.view(at, bytes), runsOf(this.model.map.files[index], offset, bytes));
    } catch (error) {
      if (!(error instanceof NtxError)) throw error;
      throw new NtxError('io', `${path}: reading at byte ${offset} failed: ${error.message}`, error.advice, {
        cause: error,
      });
    }
  }

  #pin(memory: HostMemory, offset: number, bytes: number): void {
    const view = memory.view(offset, bytes);
    // What cannot be pinned (a limit, a device's own mapping) is read through the driver's buffers.
    const pinned = this.model.drive.pin(view).then(
      () => view,
      () => null,
    );
    this.#pins.push(pinned);
  }
}
