import { constants, readSync } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { NtxError } from '../errors.js';
import { foreignFile } from './foreign-file.js';
import { HeaderReader, type HeaderSource } from './header-reader.js';
import { getNumber, getNumberOr } from './metadata.js';
import { readHeader } from './read-header.js';
import { indexTensors } from './tensor-index.js';
import type { GgufModel, TensorInfo } from './types.js';

/** `name-00002-of-00005.gguf`, as gguf-split of llama.cpp names the shards of a model (numbers from 1). */
const SHARD_NAME = /^(?<stem>.*)-(?<number>\d{5})-of-(?<count>\d{5})\.gguf$/s;

/** Version, tensor count and metadata count follow the magic. */
const LEAST_FILE_BYTES = 24;

/**
 * Opens a GGUF model: reads and checks the header, and no weights. Of a split model, all shards.
 * @param path a .gguf file; or any shard of a split model; or what comes before `-00001-of-0000N.gguf` or `.gguf`
 * @throws NtxError `io` (cannot be read), `bad-file` (damaged, or not GGUF) or `unsupported` (version, tensor type)
 */
export async function openGguf(path: string): Promise<GgufModel> {
  const start = await resolvePath(path);
  const first = await openFile(start, 0);
  const count = getNumberOr(first, 'split.count', 1);
  return count > 1 ? openShards(start, first, count) : first;
}

async function openShards(path: string, given: GgufModel, count: number): Promise<GgufModel> {
  const name = SHARD_NAME.exec(basename(path))?.groups;
  if (!name || Number(name.count) !== count) {
    throw new NtxError(
      'bad-file',
      `'${path}' is one of ${count} shards of a model, but its name does not end in -0000X-of-${fiveDigits(count)}.gguf.`,
      'Give all shards the names that they were published with.',
    );
  }
  const shards: GgufModel[] = [];
  const tensors = new Map<string, TensorInfo>();
  for (let i = 0; i < count; i++) {
    const shardPath = join(dirname(path), `${name.stem}-${fiveDigits(i + 1)}-of-${name.count}.gguf`);
    const shard = i === 0 && Number(name.number) === 1 ? given : await openShard(shardPath, i, count);
    checkShard(shard, shardPath, i, count);
    for (const tensor of shard.tensors.values()) {
      if (tensors.has(tensor.name)) {
        throw damagedSplit(shardPath, `holds the tensor '${tensor.name}', which an earlier shard holds too`);
      }
      tensors.set(tensor.name, tensor);
    }
    shards.push(shard);
  }
  const [{ version, metadata }] = shards;
  const expected = getNumber({ metadata }, 'split.tensors.count');
  if (tensors.size !== expected) {
    throw damagedSplit(path, `belongs to a model of ${expected} tensors, but its ${count} shards hold ${tensors.size}`);
  }
  return { files: shards.flatMap((shard) => shard.files), version, metadata, tensors };
}

async function openShard(path: string, index: number, count: number): Promise<GgufModel> {
  if (!(await stat(path).catch(() => null))) {
    throw new NtxError(
      'io',
      `Shard ${index + 1} of ${count} is missing: there is no file '${path}'.`,
      'A split model needs all its shards in one folder: download the missing ones.',
    );
  }
  return openFile(path, index);
}

function checkShard(shard: GgufModel, path: string, index: number, count: number): void {
  const no = getNumber(shard, 'split.no');
  const itsCount = getNumber(shard, 'split.count');
  if (no !== index || itsCount !== count) {
    throw damagedSplit(
      path,
      `says that it is shard ${no + 1} of ${itsCount}, but its name says ${index + 1} of ${count}`,
    );
  }
}

function damagedSplit(path: string, what: string): NtxError {
  return new NtxError('bad-file', `'${path}' ${what}.`, 'Download all shards again, from one place.');
}

function fiveDigits(n: number): string {
  return String(n).padStart(5, '0');
}

/** Opens one file as a model of its own; `file` becomes the file index of its tensors. */
async function openFile(path: string, file: number): Promise<GgufModel> {
  let handle: FileHandle;
  let bytes: number;
  try {
    const info = await stat(path);
    if (info.isDirectory()) throw await isDirectory(path);
    if (!info.isFile()) {
      throw new NtxError(
        'io',
        `'${path}' is a pipe, a socket or a device; a model has to be a regular file.`,
        'Save the model to a file first: ntx reads it at many places at once.',
      );
    }
    // O_NONBLOCK: should a pipe have taken the file's place meanwhile, opening it must not hang.
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    bytes = info.size;
  } catch (error) {
    throw await cannotOpen(path, error);
  }
  try {
    await checkMagic(handle, path, bytes);
    const { fd } = handle;
    const source: HeaderSource = (into, at, count, position) => readSync(fd, into, at, count, position);
    return parse(new HeaderReader(source, path, bytes), file);
  } catch (error) {
    throw await cannotOpen(path, error);
  } finally {
    await handle.close();
  }
}

function parse(reader: HeaderReader, file: number): GgufModel {
  const header = readHeader(reader);
  const tensors = new Map<string, TensorInfo>();
  for (const tensor of indexTensors(reader, header, file)) {
    if (tensors.has(tensor.name)) throw reader.bad(`has the tensor '${tensor.name}' twice`);
    tensors.set(tensor.name, tensor);
  }
  const { path, fileBytes } = reader;
  return { files: [{ path, bytes: fileBytes }], version: header.version, metadata: header.metadata, tensors };
}

/** A model's file that is read by other means: its header, up to the first tensor, in memory. */
export interface HeldHeader {
  readonly path: string;
  /** Of the whole file. */
  readonly bytes: number;
  readonly header: Uint8Array;
}

/** A model, or the shards of one in their order, that openGguf has read before. Throws NtxError('bad-file'). */
export function parseHeaders(held: readonly HeldHeader[]): GgufModel {
  const shards = held.map(({ path, bytes, header }, file) => {
    const source: HeaderSource = (into, at, count, position) =>
      Buffer.from(header.buffer, header.byteOffset, header.length).copy(into, at, position, position + count);
    return parse(new HeaderReader(source, path, bytes), file);
  });
  const tensors = new Map(shards.flatMap((shard) => [...shard.tensors]));
  return { ...shards[0], files: shards.flatMap(({ files }) => files), tensors };
}

async function checkMagic(handle: FileHandle, path: string, bytes: number): Promise<void> {
  if (bytes === 0) throw new NtxError('bad-file', `'${path}' is empty.`, 'Download it again.');
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0);
  const head = buffer.subarray(0, bytesRead);
  if (head.toString('latin1', 0, 4) !== 'GGUF') throw foreignFile(path, head);
  if (bytes < LEAST_FILE_BYTES) {
    throw new NtxError('bad-file', `'${path}' is cut short: it ends after ${bytes} bytes.`, 'Download it again.');
  }
}

/** The file that a path stands for: itself, or with the ending that was left out. */
async function resolvePath(path: string): Promise<string> {
  if (path === '') {
    throw new NtxError('bad-argument', 'The path of the model is empty.', 'Give the path of a .gguf file.');
  }
  if (await stat(path).catch(() => null)) return path;
  const stem = basename(path);
  const names = await ggufNames(dirname(path));
  const found = names.filter((name) => {
    const shard = SHARD_NAME.exec(name)?.groups;
    return name === `${stem}.gguf` || (shard?.stem === stem && Number(shard.number) === 1);
  });
  if (found.length > 1) {
    throw new NtxError('io', `'${path}' may mean any of: ${found.join(', ')}.`, 'Give the full name of one of them.');
  }
  return found.length === 1 ? join(dirname(path), found[0]) : path;
}

/** The .gguf files of a folder by name, sorted; none when it cannot be read. */
async function ggufNames(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((): string[] => []);
  return names.filter((name) => name.endsWith('.gguf')).sort();
}

async function adviceFrom(folder: string, otherwise: string): Promise<string> {
  const names = await ggufNames(folder);
  const shown = names.slice(0, 5).join(', ');
  return names.length === 0
    ? otherwise
    : `There ${names.length === 1 ? 'is' : 'are'}: ${shown}${names.length > 5 ? ', …' : ''}`;
}

async function isDirectory(path: string): Promise<NtxError> {
  const advice = await adviceFrom(path, 'Give the path of a .gguf file.');
  return new NtxError('io', `'${path}' is a folder, not a model file.`, advice);
}

/** Puts what the system said into a sentence; any other error is passed on as it is. */
async function cannotOpen(path: string, error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('syscall' in error)) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    const advice = await adviceFrom(dirname(path), 'Check the path; `ntx` looks for it from the current folder.');
    return new NtxError('io', `There is no file '${path}'.`, advice, { cause: error });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new NtxError('io', `'${path}' may not be read by this user.`, 'Change its permissions (chmod +r).', {
      cause: error,
    });
  }
  return new NtxError('io', `'${path}' cannot be read: ${message}.`, 'Check the disk and the path.', { cause: error });
}
