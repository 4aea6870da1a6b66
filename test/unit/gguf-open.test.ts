import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { gguf } from '@huggingface/gguf';
import { describe, expect, it } from 'vitest';
import { openGguf } from '../../src/gguf/open.js';
import { TYPES, typeBytes } from '../../src/gguf/types.js';
import { cpuSeconds } from './cpu-seconds.js';
import { entry, ggufFile, ntxError, temporaryFolder, tensor, text, u32, u64 } from './gguf-bytes.js';

const folder = temporaryFolder();
let files = 0;

function save(bytes: Uint8Array, name = `file-${files++}.gguf`): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const failure = (bytes: Uint8Array) => ntxError(openGguf(save(bytes)));

const PRESENT = ['models', '../shared/models', '../shared/vectors/tokenizer']
  .filter((place) => existsSync(place))
  .flatMap((place) => readdirSync(place).map((name) => join(place, name)))
  .filter((path) => path.endsWith('.gguf'));

/** The other reader drops a byte order mark from the start of a string; Llama's vocabulary has it as a token. */
const withoutMark = (value: unknown) => (typeof value === 'string' ? value.replace(/^\uFEFF/, '') : value);

describe('real files', () => {
  it.each(PRESENT)('%s reads as @huggingface/gguf reads it', async (path) => {
    const model = await openGguf(path);
    const other = await gguf(path, { allowLocalFile: true });
    const { version, tensor_count, kv_count, ...metadata } = other.metadata as Record<string, unknown>;
    expect(model.version).toBe(version);
    expect(BigInt(model.metadata.size)).toBe(kv_count);
    const values = [...model.metadata].map(([key, value]) => [
      key,
      Array.isArray(value) ? value.map(withoutMark) : value,
    ]);
    expect(Object.fromEntries(values)).toEqual(metadata);
    expect(BigInt(model.tensors.size)).toBe(tensor_count);
    for (const info of other.tensorInfos) {
      const found = model.tensors.get(info.name);
      expect(found?.shape).toEqual(info.shape.map(Number));
      expect(found && TYPES[found.type].id).toBe(info.dtype);
      expect(BigInt(found?.offset ?? 0)).toBe(other.tensorDataOffset + info.offset);
    }
  });

  it('places the last tensor of the embedded model at its end', async () => {
    const path = 'models/fable-5m-q4_k_m.gguf';
    const { files: opened, tensors } = await openGguf(path);
    expect(opened).toEqual([{ path, bytes: statSync(path).size }]);
    const ends = [...tensors.values()].map(({ offset, bytes }) => offset + bytes);
    expect(statSync(path).size - Math.max(...ends)).toBeLessThan(32);
    for (const { type, shape, bytes } of tensors.values()) {
      expect(bytes).toBe(
        typeBytes(
          type,
          shape.reduce((product, n) => product * n, 1),
        ),
      );
    }
  });

  it('opens a vocabulary of 8192 tokens within 250 ms', async () => {
    const seconds = cpuSeconds();
    await openGguf('models/fable-29m-q4_k_m.gguf');
    expect(seconds()).toBeLessThan(0.25);
  });
});

describe('values', () => {
  const value = async (type: number, ...bytes: Buffer[]) => {
    const path = save(ggufFile({ entries: [entry('k', type, ...bytes)] }));
    return (await openGguf(path)).metadata.get('k');
  };

  it.each([2, 3])('reads version %i', async (version) => {
    expect((await openGguf(save(ggufFile({ version })))).version).toBe(version);
  });

  it('gives 64-bit integers as numbers when they are exact, else as bigints', async () => {
    expect(await value(10, u64(2n ** 53n - 1n))).toBe(Number.MAX_SAFE_INTEGER);
    expect(await value(10, u64(2n ** 53n))).toBe(2n ** 53n);
    expect(await value(10, u64(2n ** 64n - 1n))).toBe(2n ** 64n - 1n);
    expect(await value(11, u64(2n ** 64n - 1n))).toBe(-1);
    expect(await value(11, u64(2n ** 63n))).toBe(-(2n ** 63n));
  });

  it('keeps a byte order mark, which is a token of some vocabularies', async () => {
    expect(await value(8, text('\uFEFF'))).toBe('\uFEFF');
  });

  it('reads nested arrays, and strings that are longer than a read', async () => {
    const inner = Buffer.concat([u32(0), u64(2), Buffer.from([7, 8])]);
    expect(await value(9, u32(9), u64(2), inner, inner)).toEqual([
      [7, 8],
      [7, 8],
    ]);
    expect(await value(8, text('ä'.repeat(2_000_000)))).toBe('ä'.repeat(2_000_000));
  });

  it('reads strings that lie across the ends of reads', async () => {
    const strings = Array.from({ length: 60_000 }, (_, i) => `token ${i} ${'x'.repeat(i % 97)}`);
    expect(await value(9, u32(8), u64(strings.length), ...strings.map(text))).toEqual(strings);
  });

  it('keeps keys that mean something to JavaScript', async () => {
    const keys = ['__proto__', 'constructor', 'version', ''];
    const model = await openGguf(save(ggufFile({ entries: keys.map((key, i) => entry(key, 4, u32(i))) })));
    expect([...model.metadata]).toEqual(keys.map((key, i) => [key, i]));
  });

  it('follows general.alignment', async () => {
    const alignment = entry('general.alignment', 4, u32(8));
    const bytes = ggufFile({
      entries: [alignment],
      tensors: [tensor(), tensor({ name: 'v', offset: 40 })],
      dataBytes: 96,
    });
    const { tensors } = await openGguf(save(bytes));
    const first = tensors.get('w')?.offset ?? -1;
    expect(first % 8).toBe(0);
    expect(tensors.get('v')?.offset).toBe(first + 40);
  });
});

describe('files that are not GGUF', () => {
  it.each([
    ['a safetensors file', Buffer.concat([u64(1234), Buffer.from('{"__metadata__":{}}')])],
    ['a zip archive', Buffer.from('PK\x03\x04....')],
    ['a Python pickle', Buffer.from([0x80, 0x02, 0x7d])],
    ['a web page', Buffer.from('\n<!DOCTYPE html><html>')],
    ['a git-lfs pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\n')],
    ['GGML formats that came before', Buffer.from('tjgg\x03\0\0\0', 'latin1')],
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0])],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
    ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])],
    ['7-zip', Buffer.from([0x37, 0x7a, 0xbc, 0xaf])],
    ['zeros', Buffer.alloc(100)],
    ['JSON', Buffer.from('{"error":"gated"}')],
    ['"hello..." (68 65 6c 6c 6f 00 01 02)', Buffer.from('hello\0\x01\x02\x03')],
  ])('says what it looks like: %s', async (words, bytes) => {
    const error = await failure(bytes);
    expect(error.code).toBe('bad-file');
    expect(error.message).toContain(words);
  });

  it('says that a file is empty, or ends within the first numbers', async () => {
    expect((await failure(Buffer.alloc(0))).message).toContain('is empty');
    expect((await failure(ggufFile().subarray(0, 23))).message).toContain('ends after 23 bytes');
  });
});

describe('files that cannot be read', () => {
  it('says that there is none, and what there is', async () => {
    const place = join(folder, 'models');
    mkdirSync(place);
    save(ggufFile(), 'models/llama.gguf');
    const error = await ntxError(openGguf(join(place, 'lama.gguf')));
    expect(error.code).toBe('io');
    expect(error.message).toContain('There is no file');
    expect(error.advice).toContain('llama.gguf');
    expect((await ntxError(openGguf(join(place, 'llama.gguf', 'x')))).message).toContain('There is no file');
    expect((await ntxError(openGguf(''))).code).toBe('bad-argument');
    expect((await ntxError(openGguf(`${place}/${'x'.repeat(300)}`))).code).toBe('io');
  });

  it('says that a folder is a folder', async () => {
    const error = await ntxError(openGguf(folder));
    expect(error).toMatchObject({ code: 'io' });
    expect(error.message).toContain('is a folder');
  });

  it('refuses pipes and devices at once', async () => {
    const pipe = join(folder, 'pipe.gguf');
    execFileSync('sh', ['-c', 'mkfifo "$0"', pipe]);
    for (const path of [pipe, '/dev/zero']) {
      const error = await ntxError(openGguf(path));
      expect(error.code).toBe('io');
      expect(error.message).toContain('a pipe, a socket or a device');
    }
  });

  it('says that permission is missing', async () => {
    const path = save(ggufFile());
    chmodSync(path, 0);
    // Root may read everything, so root becomes nobody for the moment.
    const root = process.geteuid?.() === 0;
    if (root) process.seteuid?.(65534);
    try {
      const error = await ntxError(openGguf(path));
      expect(error).toMatchObject({ code: 'io' });
      expect(error.message).toContain('may not be read by this user');
    } finally {
      if (root) process.seteuid?.(0);
    }
  });
});

describe('versions', () => {
  it.each([
    [1, 'unsupported', 'version 1'],
    [4, 'unsupported', 'version 4'],
    [0, 'bad-file', 'version 0'],
    [0x03000000, 'unsupported', 'big-endian'],
  ])('refuses version %i', async (version, code, words) => {
    const error = await failure(ggufFile({ version }));
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
  });
});

describe('counts and lengths that cannot be', () => {
  const HUGE = [2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, 2n ** 32n, 1_000_000n];
  const places: [string, (count: bigint) => Buffer][] = [
    ['the tensor count', (count) => ggufFile({ tensorCount: count })],
    ['the metadata count', (count) => ggufFile({ entryCount: count })],
    ['a key length', (count) => ggufFile({ entries: [Buffer.concat([u64(count), u32(4), u32(4)])] })],
    ['a string length', (count) => ggufFile({ entries: [entry('k', 8, u64(count))] })],
    ['an array length', (count) => ggufFile({ entries: [entry('k', 9, u32(0), u64(count))] })],
    ['an array of arrays', (count) => ggufFile({ entries: [entry('k', 9, u32(9), u64(count))] })],
    ['a name length', (count) => ggufFile({ tensors: [Buffer.concat([u64(count), u32(1)])] })],
  ];
  it.each(places)('%s', async (_, make) => {
    for (const count of HUGE) {
      const seconds = cpuSeconds();
      const error = await failure(make(count));
      expect(error.code).toBe('bad-file');
      expect(error.message).toContain(String(count));
      expect(seconds()).toBeLessThan(0.5);
    }
  });

  // A sparse file of 64 GiB could hold them all; none is read or allocated.
  it.each([
    ['tensors', 2 ** 30, (count: number) => ggufFile({ tensorCount: count })],
    ['metadata keys', 2 ** 30, (count: number) => ggufFile({ entryCount: count })],
    ['array elements', 2 ** 33, (count: number) => ggufFile({ entries: [entry('k', 9, u32(0), u64(count))] })],
    ['bytes', 2 ** 33, (count: number) => ggufFile({ entries: [entry('k', 8, u64(count))] })],
  ])('more %s than any model has, in a file that is large enough', async (items, count, make) => {
    const path = save(make(count));
    truncateSync(path, 2 ** 36);
    const error = await ntxError(openGguf(path));
    expect(error.code).toBe('unsupported');
    expect(error.message).toContain(`${count} ${items}`);
  });

  it('a header of endless strings, each of a possible length', async () => {
    const prefix = ggufFile({ tensors: [], dataBytes: 0, entries: [entry('k', 9, u32(8), u64(100))] });
    const path = save(prefix);
    truncateSync(path, 2 ** 36);
    const file = openSync(path, 'r+');
    const start = 24 + entry('k', 9, u32(8), u64(100)).length;
    for (let i = 0; i < 100; i++) writeSync(file, u64(16 << 20), 0, 8, start + i * ((16 << 20) + 8));
    closeSync(file);
    const error = await ntxError(openGguf(path));
    expect(error.code).toBe('unsupported');
    expect(error.message).toContain('a header of more than 128 MiB');
  });
});

describe('metadata that cannot be', () => {
  it.each([
    ['twice', { entries: [entry('k', 4, u32(1)), entry('k', 4, u32(2))] }],
    ['unknown value type 13', { entries: [entry('k', 13, u32(1))] }],
    ['unknown value type 99', { entries: [entry('k', 9, u32(99), u64(0))] }],
    ['the byte 2 as a boolean', { entries: [entry('k', 7, Buffer.from([2]))] }],
    ['a name of 70000 bytes', { entries: [entry('k'.repeat(70_000), 4, u32(1))] }],
    [
      'nests arrays deeper than 4',
      {
        entries: [
          entry(
            'k',
            9,
            ...Array(9)
              .fill([u32(9), u64(1)])
              .flat(),
            u64(0),
            u64(0),
          ),
        ],
      },
    ],
    ["alignment '24'", { entries: [entry('general.alignment', 4, u32(24))] }],
    ["alignment '4'", { entries: [entry('general.alignment', 4, u32(4))] }],
    ["alignment '0'", { entries: [entry('general.alignment', 4, u32(0))] }],
    ["alignment 'x'", { entries: [entry('general.alignment', 8, text('x'))] }],
  ])('%s', async (words, file) => {
    const error = await failure(ggufFile(file));
    expect(error.code).toBe('bad-file');
    expect(error.message).toContain(words);
  });
});

describe('tensors that cannot be', () => {
  const q4k = TYPES.Q4_K.id;
  it.each([
    ['twice', [tensor(), tensor({ offset: 32 })]],
    ['0 dimensions', [tensor({ shape: [] })]],
    ['5 dimensions', [tensor({ shape: [1, 1, 1, 1, 1] })]],
    ['[8, 0], with a dimension of 0', [tensor({ shape: [8, 0] })]],
    ['which no file can hold', [tensor({ shape: [2n ** 32n, 2n ** 32n] })]],
    ['[18446744073709551615]', [tensor({ shape: [2n ** 64n - 1n] })]],
    ['blocks of 256 weights', [tensor({ shape: [128, 2], type: q4k })]],
    ['not a multiple of 32', [tensor({ offset: 16 })]],
    ["'w' ends at", [tensor({ offset: 64 })]],
    ["'w' ends at", [tensor({ offset: 2n ** 64n - 32n })]],
    ["'w' ends at", [tensor({ shape: [8, 1000] })]],
    ["'w' ends after 'v' begins", [tensor({ shape: [16] }), tensor({ name: 'v', offset: 32 })]],
    ['overlapping', [tensor(), tensor({ name: 'v' })]],
  ])('%s', async (words, tensors) => {
    const error = await failure(ggufFile({ tensors }));
    expect(error.code).toBe('bad-file');
    expect(error.message).toContain(words);
  });

  it.each([
    [23, 'IQ4_XS'],
    [39, 'MXFP4'],
    [34, 'TQ1_0'],
    [24, 'I8'],
    [4, 'Q4_2'],
    [1000, 'an unknown type (number 1000)'],
  ])('names the type %i: %s', async (type, name) => {
    const error = await failure(ggufFile({ tensors: [tensor({ type })] }));
    expect(error.code).toBe('unsupported');
    expect(error.message).toContain(name);
    expect(error.message).toContain("'w'");
    expect(error.advice).toContain('Q4_K');
  });

  it('shows control characters of names as such', async () => {
    const error = await failure(ggufFile({ tensors: [tensor({ name: 'a\u001b[31m\nb', offset: 16 })] }));
    expect(error.message).not.toMatch(/\p{Cc}/u);
  });
});
