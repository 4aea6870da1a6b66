// What reads a model's files into host memory. Implementations: native/host (io_uring, a pool of preads), native/vfio.
import type { HostMemory } from '../backend/backend.js';

export interface ReadRequest {
  /** Index into the files that the reader was opened on. */
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  readonly memory: HostMemory;
  /** Where the bytes go in the memory. */
  readonly at: number;
}

export interface FileReader {
  /** How it reads: "io_uring, O_DIRECT, depth 32". */
  readonly name: string;
  /**
   * What offsets, lengths and addresses should be multiples of. Others are allowed and slower; a read that ends with the file
   * may be shorter.
   */
  readonly alignment: number;
  /** Bytes of one request to the drive at most; longer reads are split. */
  readonly maxBytes: number;
  /** Fills the range. Rejects with NtxError('io') that names file and byte; other reads go on. */
  read(request: ReadRequest): Promise<void>;
  /** After the reads in flight. */
  close(): Promise<void>;
}
