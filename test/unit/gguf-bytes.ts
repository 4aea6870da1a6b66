// Builds GGUF bytes by hand, right or wrong, for the tests of the reader.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { NtxError } from '../../src/errors.js';

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

export const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

export const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

/** A metadata entry: key, value type number, the value's bytes. */
export const entry = (key: string, type: number, ...value: Buffer[]): Buffer =>
  Buffer.concat([text(key), u32(type), ...value]);

export interface TensorBytes {
  name?: string;
  shape?: readonly (number | bigint)[];
  type?: number;
  offset?: number | bigint;
}

/** Defaults describe a valid F32 vector of 8 values at offset 0. */
export const tensor = ({ name = 'w', shape = [8], type = 0, offset = 0 }: TensorBytes = {}): Buffer =>
  Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)]);

export interface FileBytes {
  version?: number;
  entries?: readonly Buffer[];
  tensors?: readonly Buffer[];
  entryCount?: number | bigint;
  tensorCount?: number | bigint;
  dataBytes?: number;
}

export function ggufFile({
  version = 3,
  entries = [],
  tensors = [tensor()],
  dataBytes = 64,
  ...counts
}: FileBytes = {}) {
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32(version),
    u64(counts.tensorCount ?? tensors.length),
    u64(counts.entryCount ?? entries.length),
    ...entries,
    ...tensors,
  ]);
  return Buffer.concat([header, Buffer.alloc(((32 - (header.length % 32)) % 32) + dataBytes)]);
}

/** A folder for the tests of one file, removed after them. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ntx-gguf-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The NtxError that a promise is rejected with; fails on success and on any other error. */
export async function ntxError(promise: Promise<unknown>): Promise<NtxError> {
  const outcome = await promise.then(
    () => new Error('expected an NtxError, but it succeeded'),
    (error: unknown) => error,
  );
  if (!(outcome instanceof NtxError)) throw outcome;
  if (!outcome.message || !outcome.advice) throw new Error('an NtxError needs a message and advice');
  return outcome;
}
