import { NtxError } from '../errors.js';

/** Read ahead: a small model's whole header, or a few reads for a vocabulary of 128 thousand tokens (about 8 MiB). */
const WINDOW_BYTES = 1 << 20;

/** Headers of real models are below 32 MiB; the limit bounds what a damaged or hostile file makes us read and hold. */
const HEADER_LIMIT_BYTES = 128 << 20;

/** Chat templates, the longest strings of real headers, have some 100 KiB. */
const MAX_STRING_BYTES = 16 << 20;

const DOWNLOAD_AGAIN = 'The file is damaged or its download is incomplete: fetch it again and compare its size.';

/** Fills `into` from `at` on with up to `bytes` bytes at `position` of the file; returns how many there were. */
export type HeaderSource = (into: Buffer, at: number, bytes: number, position: number) => number;

/** A name out of the file, short and free of control characters, for an error sentence. */
export function printable(name: string): string {
  const clean = name.replace(/\p{C}/gu, '\uFFFD');
  return clean.length > 80 ? `${clean.slice(0, 79)}…` : clean;
}

/**
 * A forward reader over the head of a file through a growing window. Every read first checks that the bytes lie within
 * the file, so a count from the file never leads to an allocation or a read that the file cannot back.
 * Reads are synchronous: parsing is a tight loop over hundreds of thousands of short strings.
 */
export class HeaderReader {
  /** What is being read, for the error sentence. */
  context = 'the start of the header';
  private window: Buffer = Buffer.allocUnsafe(0);
  private windowStart = 0;
  private at = 0;

  constructor(
    private readonly source: HeaderSource,
    readonly path: string,
    readonly fileBytes: number,
  ) {}

  /** Offset in the file of the next byte. */
  get position(): number {
    return this.windowStart + this.at;
  }

  /** Bytes from the position to the end of the file. */
  get remaining(): number {
    return this.fileBytes - this.position;
  }

  u8(): number {
    const at = this.take(1);
    return this.window[at];
  }

  i8(): number {
    const at = this.take(1);
    return this.window.readInt8(at);
  }

  u16(): number {
    const at = this.take(2);
    return this.window.readUInt16LE(at);
  }

  i16(): number {
    const at = this.take(2);
    return this.window.readInt16LE(at);
  }

  u32(): number {
    const at = this.take(4);
    return this.window.readUInt32LE(at);
  }

  i32(): number {
    const at = this.take(4);
    return this.window.readInt32LE(at);
  }

  f32(): number {
    const at = this.take(4);
    return this.window.readFloatLE(at);
  }

  f64(): number {
    const at = this.take(8);
    return this.window.readDoubleLE(at);
  }

  /** A number when it is exact in one, else a bigint. */
  u64(): number | bigint {
    const at = this.take(8);
    const high = this.window.readUInt32LE(at + 4);
    return high < 1 << 21 ? high * 2 ** 32 + this.window.readUInt32LE(at) : this.window.readBigUInt64LE(at);
  }

  i64(): number | bigint {
    const at = this.take(8);
    const value = this.window.readBigInt64LE(at);
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }

  /** The GGUF spec allows 0 and 1 only and calls anything else an invalid file. */
  bool(): boolean {
    const byte = this.u8();
    if (byte > 1) throw this.bad(`holds the byte ${byte} as a boolean (expected 0 or 1) in ${this.context}`);
    return byte === 1;
  }

  /** A string: its length in bytes as u64, then UTF-8. Invalid UTF-8 becomes U+FFFD. */
  string(): string {
    const { window, at } = this;
    const length = window[at] | (window[at + 1] << 8);
    const start = at + 8;
    // Nearly all strings of a header are tokens: short, and whole in the window. This path halves the time to open.
    if (start + length <= window.length && window.readUIntLE(at + 2, 6) === 0) {
      this.at = start + length;
      return window.toString('utf8', start, this.at);
    }
    return this.longString();
  }

  private longString(): string {
    const bytes = this.count(1, MAX_STRING_BYTES, 'bytes');
    const at = this.take(bytes);
    return this.window.toString('utf8', at, at + bytes);
  }

  /**
   * A u64 that counts items which take at least `leastBytes` each and follow it in the file.
   * Refuses what the rest of the file cannot hold, and more than `limit`.
   */
  count(leastBytes: number, limit: number, items: string): number {
    const start = this.position;
    const value = this.u64();
    if (value > this.remaining / leastBytes) {
      throw this.bad(
        `is cut short or damaged: ${this.context} claims ${value} ${items} at byte ${start}, ` +
          `but the file ends ${this.remaining} bytes later`,
      );
    }
    if (value > limit) {
      throw new NtxError(
        'unsupported',
        `'${this.path}' has ${value} ${items} in ${this.context}; ntx reads at most ${limit}.`,
        'Check where the file comes from: no known model needs that many.',
      );
    }
    return Number(value);
  }

  bad(what: string): NtxError {
    return new NtxError('bad-file', `'${this.path}' ${what}.`, DOWNLOAD_AGAIN);
  }

  /** Moves past `bytes` bytes and returns where they start in `window`, which it may replace: read `window` after it. */
  private take(bytes: number): number {
    if (this.at + bytes > this.window.length) this.refill(bytes);
    const start = this.at;
    this.at += bytes;
    return start;
  }

  private refill(bytes: number): void {
    const { position, remaining } = this;
    if (bytes > remaining) {
      throw this.bad(
        `is cut short: ${this.context} needs ${bytes} bytes at byte ${position}, but the file ends ${remaining} bytes later`,
      );
    }
    if (position + bytes > HEADER_LIMIT_BYTES) {
      throw new NtxError(
        'unsupported',
        `'${this.path}' has a header of more than ${HEADER_LIMIT_BYTES >> 20} MiB, which ntx does not read.`,
        'Check where the file comes from: no known model needs that much.',
      );
    }
    const next = Buffer.allocUnsafe(Math.min(Math.max(bytes, WINDOW_BYTES), remaining));
    let filled = 0;
    while (filled < next.length) {
      const got = this.source(next, filled, next.length - filled, position + filled);
      if (got === 0 && filled >= bytes) break; // only the header is held
      if (got === 0) throw this.bad(`became shorter while it was read (${this.fileBytes} bytes when it was opened)`);
      filled += got;
    }
    this.window = next.subarray(0, filled);
    this.windowStart = position;
    this.at = 0;
  }
}
