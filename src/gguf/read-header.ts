/**
 * Reads the head of one GGUF file (github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 *
 * Why not `@huggingface/gguf` (0.4.6), measured on 2 cores of an EPYC with Node 20:
 * - a header of 128 256 tokens and 280 147 merges (8 MiB) takes it 1150-1230 ms, because it parses a value again from its
 *   start after every 2 MB chunk and decodes each string through a copy; this reader takes 115 ms. Its import alone
 *   takes 38 ms;
 * - it does not notice truncation: its buffer is zero-filled past the end of the file, so a header cut at 1.5 of 8 MB
 *   came back as a success with empty keys and a nameless tensor;
 * - a string that crosses the end of its buffer is cut silently (a value of 3 000 000 bytes came back with 1 999 955);
 * - it drops a byte order mark from the start of a string, so a token of Llama 2's vocabulary becomes the empty string;
 * - of duplicate keys the last wins, and a key named `version` replaces the file's version.
 * The tests compare the two on real files.
 */
import { NtxError } from '../errors.js';
import { type HeaderReader, printable } from './header-reader.js';
import type { MetadataArray, MetadataValue } from './types.js';
import { LEAST_BYTES, type ScalarType, type ValueType, valueTypeName } from './value-types.js';

const MAX_KEYS = 1 << 16;
const MAX_TENSORS = 1 << 17;
/** Over all arrays of a header. Vocabularies of 262 144 tokens with scores, types and merges stay below 2 million. */
const MAX_ARRAY_ELEMENTS = 1 << 23;
const MAX_ARRAY_DEPTH = 4;
/** The spec's limit for keys; tensor names are shorter still. */
const MAX_NAME_BYTES = 65_535;
const DEFAULT_ALIGNMENT = 32;

/** A tensor as the file states it: nothing but the number of dimensions has been checked. */
export interface RawTensor {
  readonly name: string;
  readonly typeId: number;
  readonly shape: readonly (number | bigint)[];
  /** Bytes from `dataStart`. */
  readonly offset: number | bigint;
}

export interface RawHeader {
  readonly version: 2 | 3;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: readonly RawTensor[];
  readonly alignment: number;
  /** Absolute offset of the tensor data: the end of the header, rounded up to the alignment. */
  readonly dataStart: number;
}

/**
 * Reads a header from the start of a file whose first four bytes are known to be `GGUF`.
 * @throws NtxError `bad-file` or `unsupported`, naming the place.
 */
export function readHeader(reader: HeaderReader): RawHeader {
  reader.u32();
  const version = readVersion(reader);
  // A tensor info takes at least a name length, a dimension count, one dimension, a type and an offset.
  reader.context = 'the tensor count';
  const tensorCount = reader.count(8 + 4 + 8 + 4 + 8, MAX_TENSORS, 'tensors');
  reader.context = 'the metadata count';
  const keyCount = reader.count(8 + 4 + 1, MAX_KEYS, 'metadata keys');
  const metadata = readMetadata(reader, keyCount);
  const alignment = readAlignment(reader, metadata);
  const tensors: RawTensor[] = [];
  for (let i = 0; i < tensorCount; i++) tensors.push(readTensor(reader, i, tensorCount));
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  return { version, metadata, tensors, alignment, dataStart };
}

function readVersion(reader: HeaderReader): 2 | 3 {
  reader.context = 'the format version';
  const version = reader.u32();
  if (version === 2 || version === 3) return version;
  const newFile = 'Convert the model again with a current llama.cpp, or download a newer file of it.';
  if (version === 1) {
    throw new NtxError(
      'unsupported',
      `'${reader.path}' is a GGUF file of version 1; ntx reads versions 2 and 3.`,
      newFile,
    );
  }
  // The version is below 2^16 for long to come: when only the upper half is set, the file is big-endian.
  if (version !== 0 && (version & 0xffff) === 0) {
    throw new NtxError(
      'unsupported',
      `'${reader.path}' is a big-endian GGUF file; ntx reads little-endian files.`,
      'Download the usual (little-endian) file, or convert it with gguf_convert_endian.py of llama.cpp.',
    );
  }
  if (version === 0) throw reader.bad('states the GGUF version 0, which does not exist');
  throw new NtxError(
    'unsupported',
    `'${reader.path}' is a GGUF file of version ${version}; ntx reads versions 2 and 3.`,
    'Update ntx, or convert the model to version 3.',
  );
}

function readMetadata(reader: HeaderReader, keyCount: number): Map<string, MetadataValue> {
  const metadata = new Map<string, MetadataValue>();
  const values = new ValueReader(reader);
  for (let i = 0; i < keyCount; i++) {
    reader.context = `metadata key ${i + 1} of ${keyCount}`;
    const key = readName(reader);
    reader.context = `the value of the metadata key '${printable(key)}'`;
    if (metadata.has(key)) throw reader.bad(`has the metadata key '${printable(key)}' twice`);
    metadata.set(key, values.read(values.type(), 0));
  }
  return metadata;
}

function readAlignment(reader: HeaderReader, metadata: ReadonlyMap<string, MetadataValue>): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  // Powers of two up to 2^31: JavaScript's bit operations see 32 bits, and real files use 32 to 4096.
  if (
    typeof alignment !== 'number' ||
    alignment < 8 ||
    alignment > 2 ** 31 ||
    !Number.isInteger(Math.log2(alignment))
  ) {
    throw reader.bad(`has the alignment '${alignment}' (general.alignment); expected a power of two of at least 8`);
  }
  return alignment;
}

function readTensor(reader: HeaderReader, index: number, count: number): RawTensor {
  reader.context = `tensor ${index + 1} of ${count}`;
  const name = readName(reader);
  reader.context = `the description of the tensor '${printable(name)}'`;
  const dimensions = reader.u32();
  if (dimensions < 1 || dimensions > 4) {
    throw reader.bad(`gives the tensor '${printable(name)}' ${dimensions} dimensions (expected 1 to 4)`);
  }
  const shape = Array.from({ length: dimensions }, () => reader.u64());
  return { name, shape, typeId: reader.u32(), offset: reader.u64() };
}

function readName(reader: HeaderReader): string {
  const start = reader.position;
  const name = reader.string();
  if (reader.position - start - 8 > MAX_NAME_BYTES) {
    throw reader.bad(
      `has a name of ${reader.position - start - 8} bytes at ${reader.context} (the format allows 65535)`,
    );
  }
  return name;
}

class ValueReader {
  private elements = 0;

  constructor(private readonly reader: HeaderReader) {}

  type(): ValueType {
    const id = this.reader.u32();
    const type = valueTypeName(id);
    if (!type) {
      throw this.reader.bad(`has an unknown value type ${id} in ${this.reader.context} (expected 0 to 12)`);
    }
    return type;
  }

  read(type: ValueType, depth: number): MetadataValue {
    return type === 'array' ? this.array(depth) : this.scalar(type)();
  }

  private array(depth: number): MetadataArray {
    const { reader } = this;
    if (depth === MAX_ARRAY_DEPTH) throw reader.bad(`nests arrays deeper than ${MAX_ARRAY_DEPTH} in ${reader.context}`);
    const type = this.type();
    const count = reader.count(LEAST_BYTES[type], MAX_ARRAY_ELEMENTS - this.elements, 'array elements');
    this.elements += count;
    if (type === 'array') {
      const arrays: MetadataArray[] = [];
      for (let i = 0; i < count; i++) arrays.push(this.array(depth + 1));
      return arrays;
    }
    const next = this.scalar(type);
    const values: (string | number | bigint | boolean)[] = [];
    for (let i = 0; i < count; i++) values.push(next());
    return values;
  }

  private scalar(type: ScalarType): () => string | number | bigint | boolean {
    const { reader } = this;
    switch (type) {
      case 'uint8':
        return () => reader.u8();
      case 'int8':
        return () => reader.i8();
      case 'uint16':
        return () => reader.u16();
      case 'int16':
        return () => reader.i16();
      case 'uint32':
        return () => reader.u32();
      case 'int32':
        return () => reader.i32();
      case 'uint64':
        return () => reader.u64();
      case 'int64':
        return () => reader.i64();
      case 'float32':
        return () => reader.f32();
      case 'float64':
        return () => reader.f64();
      case 'bool':
        return () => reader.bool();
      case 'string':
        return () => reader.string();
    }
  }
}
