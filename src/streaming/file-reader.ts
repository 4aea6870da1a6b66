// What reads a model's files into host memory. Implementations: host-reader.ts (io_uring, a pool of preads), node-reader.ts
// (where there is no addon), native/vfio.
import type { HostMemory, HostRange } from '../backend/backend.js';

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
  /** How it reads: "io_uring, O_DIRECT, 32 x 1 MiB". */
  readonly name: string;
  /**
   * What offsets, lengths and addresses should be multiples of: a power of two, at most 4096. Others are allowed and slower; a
   * read that ends with the file may be shorter.
   */
  readonly alignment: number;
  /** Bytes of one request to the drive at most; longer reads are split. */
  readonly maxBytes: number;
  /** Requests that each drive has at a time at most. More reads may be asked for: they wait in their order. */
  readonly depth: number;
  /**
   * Fills the range; the memory is neither freed nor unmapped until then. Rejects with NtxError('io') that names file and byte
   * (the file ends too early, was written to since it was opened, or the drive failed); other reads go on.
   */
  read(request: ReadRequest): Promise<void>;
  /**
   * Memory that many reads will go to, before the first of them: the kernel pins it once, where it can. It is kept until
   * close(). Absent: that would save nothing.
   */
  attach?(ranges: readonly HostRange[]): void;
  /** After the reads that drives have; those that have not begun are rejected with NtxError('cancelled'). */
  close(): Promise<void>;
}
