const STRING_TYPE = 8;
/** Magic, version, tensor count and metadata count. */
const METADATA_AT = 24;
const COUNT_AT = 16;

/**
 * A GGUF file's bytes with one more text in its metadata, put first. The entry is filled up with a Jinja comment to a
 * multiple of the alignment, so that the tensors' offsets stay right.
 */
export function withMetadataText(bytes: Uint8Array, key: string, text: string, alignment = 32): Buffer {
  const bare = 8 + key.length + 4 + 8 + text.length;
  const filler = (alignment - ((bare + '{##}'.length) % alignment)) % alignment;
  const value = `${text}{#${' '.repeat(filler)}#}`;
  const entry = Buffer.alloc(8 + key.length + 4 + 8 + value.length);
  let at = entry.writeBigUInt64LE(BigInt(key.length), 0);
  at += entry.write(key, at);
  at = entry.writeUInt32LE(STRING_TYPE, at);
  at = entry.writeBigUInt64LE(BigInt(value.length), at);
  entry.write(value, at);
  const head = Buffer.from(bytes.subarray(0, METADATA_AT));
  head.writeBigUInt64LE(head.readBigUInt64LE(COUNT_AT) + 1n, COUNT_AT);
  return Buffer.concat([head, entry, bytes.subarray(METADATA_AT)]);
}

/** The bytes with a little-endian number written over them. */
export function poked(bytes: Uint8Array, at: number, value: number | bigint, width: 4 | 8): Buffer {
  const copy = Buffer.from(bytes);
  if (width === 4) copy.writeUInt32LE(Number(value), at);
  else copy.writeBigUInt64LE(BigInt(value), at);
  return copy;
}

/** The bytes with the first occurrence of a text replaced by another of the same length. */
export function renamed(bytes: Uint8Array, from: string, to: string): Buffer {
  const copy = Buffer.from(bytes);
  const at = copy.indexOf(from);
  if (at < 0 || from.length !== to.length) throw new Error(`cannot rename ${from} to ${to}`);
  copy.write(to, at);
  return copy;
}
