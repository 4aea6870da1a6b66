import type { FileHandle } from 'node:fs/promises';
import { NtxError } from '../errors.js';
import { writeWhole } from './part-file.js';
import { type GgmlType, TYPES, typeBytes } from './types.js';
import { type ScalarType, VALUE_TYPES } from './value-types.js';

type Scalar = string | number | bigint | boolean;

/** One metadata entry with the type that it gets in the file. */
export type MetadataEntry =
  | { readonly key: string; readonly type: ScalarType; readonly value: Scalar }
  | { readonly key: string; readonly type: 'array'; readonly of: ScalarType; readonly value: readonly Scalar[] };

export interface TensorSpec {
  readonly name: string;
  readonly type: GgmlType;
  /** ggml order: shape[0] is the length of a row, a multiple of the type's block. */
  readonly shape: readonly number[];
}

export interface GgufContents {
  /** 3 by default. */
  readonly version?: 2 | 3;
  /** The alignment of the tensors is taken from `general.alignment`, 32 by default. */
  readonly metadata: readonly MetadataEntry[];
  readonly tensors: readonly TensorSpec[];
}

/** Where everything goes in the file. */
export interface GgufLayout {
  readonly header: Buffer;
  /** Absolute offset and bytes of each tensor, in the order of the tensors. */
  readonly places: readonly { readonly offset: number; readonly bytes: number }[];
  /** Bytes of the whole file. */
  readonly bytes: number;
}

/**
 * The bytes of one tensor in pieces that add up to its size. Several pieces are written at a time, so a piece must not
 * change after it has been handed over.
 */
export type TensorData = (tensor: TensorSpec, index: number) => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export interface WriteOptions {
  /** Replace a file that exists. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  /** Called after each piece with the bytes written so far and the bytes of the whole file. */
  readonly onProgress?: (written: number, total: number) => void;
}

/** Encodes the header and places the tensors. */
export function layOut({ version = 3, metadata, tensors }: GgufContents): GgufLayout {
  const alignment = Number(metadata.find(({ key }) => key === 'general.alignment')?.value ?? 32);
  const align = (offset: number) => Math.ceil(offset / alignment) * alignment;
  const sizes = tensors.map(({ type, shape }) =>
    typeBytes(
      type,
      shape.reduce((product, n) => product * n, 1),
    ),
  );
  const out = new ByteWriter();
  out.bytes(Buffer.from('GGUF'));
  out.scalar('uint32', version);
  out.scalar('uint64', tensors.length);
  out.scalar('uint64', metadata.length);
  for (const entry of metadata) writeEntry(out, entry);
  const offsets: number[] = [];
  let end = 0;
  for (const [i, { name, type, shape }] of tensors.entries()) {
    out.scalar('string', name);
    out.scalar('uint32', shape.length);
    for (const dimension of shape) out.scalar('uint64', dimension);
    out.scalar('uint32', TYPES[type].id);
    out.scalar('uint64', align(end));
    offsets.push(align(end));
    end = align(end) + sizes[i];
  }
  const header = out.done();
  const dataStart = align(header.length);
  return {
    header,
    places: offsets.map((offset, i) => ({ offset: dataStart + offset, bytes: sizes[i] })),
    bytes: tensors.length === 0 ? header.length : dataStart + align(end),
  };
}

/**
 * Writes a GGUF file: the header, then each tensor's pieces as `data` yields them.
 * @returns bytes of the file
 * @throws NtxError `io`, or `cancelled` through `signal`; then no file is left
 */
export async function writeGguf(
  path: string,
  contents: GgufContents,
  data: TensorData,
  { force = false, signal, onProgress }: WriteOptions = {},
): Promise<number> {
  const { header, places, bytes } = layOut(contents);
  await writeWhole(path, bytes, force, async (file) => {
    const writer = new PieceWriter(file, signal, (written) => onProgress?.(written, bytes));
    try {
      await writer.write(header, 0);
      for (const [i, tensor] of contents.tensors.entries()) {
        let at = places[i].offset;
        for await (const piece of data(tensor, i)) {
          await writer.write(piece, at);
          at += piece.length;
        }
        const written = at - places[i].offset;
        if (written !== places[i].bytes) {
          throw new Error(`the tensor '${tensor.name}' has ${places[i].bytes} bytes, but ${written} were given`);
        }
      }
    } finally {
      await writer.settled();
    }
    writer.check();
  });
  return bytes;
}

/** Keeps a few writes in flight: the next piece is made while the last ones are written. */
class PieceWriter {
  private static readonly IN_FLIGHT = 4;
  private readonly inFlight = new Set<Promise<void>>();
  private failure: { error: unknown } | undefined;
  private written = 0;

  constructor(
    private readonly file: FileHandle,
    private readonly signal: AbortSignal | undefined,
    private readonly onWritten: (written: number) => void,
  ) {}

  /** Starts writing a piece; waits only while too many are under way. */
  async write(piece: Uint8Array, position: number): Promise<void> {
    this.check();
    const task = this.writeFully(piece, position)
      .catch((error) => {
        this.failure ??= { error };
      })
      .finally(() => this.inFlight.delete(task));
    this.inFlight.add(task);
    while (this.inFlight.size >= PieceWriter.IN_FLIGHT) await Promise.race(this.inFlight);
  }

  async settled(): Promise<void> {
    await Promise.all(this.inFlight);
  }

  check(): void {
    if (this.failure) throw this.failure.error;
    if (this.signal?.aborted) {
      throw new NtxError('cancelled', 'Writing the file was cancelled; what was written is removed.', 'Run it again.');
    }
  }

  private async writeFully(piece: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < piece.length) {
      done += (await this.file.write(piece, done, piece.length - done, position + done)).bytesWritten;
    }
    this.written += piece.length;
    this.onWritten(this.written);
  }
}

function writeEntry(out: ByteWriter, entry: MetadataEntry): void {
  out.scalar('string', entry.key);
  out.scalar('uint32', VALUE_TYPES[entry.type]);
  if (entry.type !== 'array') {
    out.scalar(entry.type, entry.value);
    return;
  }
  out.scalar('uint32', VALUE_TYPES[entry.of]);
  out.scalar('uint64', entry.value.length);
  for (const value of entry.value) out.scalar(entry.of, value);
}

/** A growing buffer of little-endian values. */
class ByteWriter {
  private buffer = Buffer.alloc(1 << 16);
  private at = 0;

  done(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  bytes(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  scalar(type: ScalarType, value: Scalar): void {
    if (type === 'string') {
      const text = String(value);
      const bytes = Buffer.byteLength(text);
      this.reserve(8 + bytes);
      this.buffer.writeBigUInt64LE(BigInt(bytes), this.at);
      this.buffer.write(text, this.at + 8);
      this.at += 8 + bytes;
    } else {
      this.reserve(8);
      this.at = this.put(type, value);
    }
  }

  private put(type: Exclude<ScalarType, 'string'>, value: Scalar): number {
    const { buffer, at } = this;
    switch (type) {
      case 'uint8':
      case 'bool':
        return buffer.writeUInt8(Number(value), at);
      case 'int8':
        return buffer.writeInt8(Number(value), at);
      case 'uint16':
        return buffer.writeUInt16LE(Number(value), at);
      case 'int16':
        return buffer.writeInt16LE(Number(value), at);
      case 'uint32':
        return buffer.writeUInt32LE(Number(value), at);
      case 'int32':
        return buffer.writeInt32LE(Number(value), at);
      case 'uint64':
        return buffer.writeBigUInt64LE(BigInt(value), at);
      case 'int64':
        return buffer.writeBigInt64LE(BigInt(value), at);
      case 'float32':
        return buffer.writeFloatLE(Number(value), at);
      case 'float64':
        return buffer.writeDoubleLE(Number(value), at);
    }
  }

  private reserve(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const larger = Buffer.alloc(Math.max(this.buffer.length * 2, this.at + bytes));
    larger.set(this.done());
    this.buffer = larger;
  }
}
