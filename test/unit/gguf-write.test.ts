import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openGguf } from '../../src/gguf/open.js';
import { GGML_TYPES, type MetadataValue, TYPES, typeBytes } from '../../src/gguf/types.js';
import { type GgufContents, layOut, type MetadataEntry, type TensorSpec, writeGguf } from '../../src/gguf/write.js';
import { ntxError, temporaryFolder } from './gguf-bytes.js';

const folder = temporaryFolder();
let files = 0;
const newPath = () => join(folder, `file-${files++}.gguf`);

const ONE: GgufContents = {
  metadata: [{ key: 'general.architecture', type: 'string', value: 'test' }],
  tensors: [{ name: 'w', type: 'F32', shape: [8, 2] }],
};
const zeros = ({ type, shape }: TensorSpec) => [
  Buffer.alloc(
    typeBytes(
      type,
      shape.reduce((a, b) => a * b),
    ),
  ),
];

const signed = (bits: bigint) => fc.bigInt({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n });
const unsigned = (bits: bigint) => fc.bigInt({ min: 0n, max: 2n ** bits - 1n });
const asRead = (value: bigint) =>
  BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value;
const SCALARS = [
  ...(['uint8', 'uint16', 'uint32', 'uint64'] as const).map((type, i) => ({
    type,
    value: unsigned(8n << BigInt(i)).map(asRead),
  })),
  ...(['int8', 'int16', 'int32', 'int64'] as const).map((type, i) => ({
    type,
    value: signed(8n << BigInt(i)).map(asRead),
  })),
  { type: 'float32', value: fc.float() },
  { type: 'float64', value: fc.double() },
  { type: 'bool', value: fc.boolean() },
  { type: 'string', value: fc.string({ unit: 'binary', maxLength: 20 }) },
] as const;

type Value = string | number | bigint | boolean;
const typedValue = fc.oneof(
  ...SCALARS.map(({ type, value }) => (value as fc.Arbitrary<Value>).map((it) => ({ type, value: it }))),
  ...SCALARS.map(({ type, value }) =>
    fc
      .array(value as fc.Arbitrary<Value>, { maxLength: 10 })
      .map((it) => ({ type: 'array' as const, of: type, value: it })),
  ),
);
const metadata = fc
  .uniqueArray(fc.string({ unit: 'binary', maxLength: 12 }), { maxLength: 8 })
  .chain((keys) => fc.tuple(...keys.map((key) => typedValue.map((typed): MetadataEntry => ({ key, ...typed })))));
const tensorSpec = fc
  .tuple(
    fc.constantFrom(...GGML_TYPES),
    fc.integer({ min: 1, max: 3 }),
    fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
  )
  .map(([type, blocks, rest]) => ({ type, shape: [blocks * TYPES[type].blockWeights, ...rest] }));
const tensors = fc
  .uniqueArray(fc.string({ unit: 'binary', maxLength: 12 }), { maxLength: 6 })
  .chain((names) => fc.tuple(...names.map((name) => tensorSpec.map((spec): TensorSpec => ({ name, ...spec })))));
const alignment = fc.constantFrom(8, 32, 64, 4096);

describe('what is written', () => {
  it('reads back as it was', async () => {
    await fc.assert(
      fc.asyncProperty(metadata, tensors, alignment, fc.constantFrom(2, 3), async (entries, specs, align, version) => {
        const all: MetadataEntry[] = [...entries, { key: 'general.alignment', type: 'uint32', value: align }];
        const path = newPath();
        const contents = { version: version as 2 | 3, metadata: all, tensors: specs };
        const pieces = specs.map((spec, i) => Buffer.alloc(zeros(spec)[0].length, i + 1));
        // In pieces of odd sizes.
        const data = async function* (_: TensorSpec, i: number) {
          for (let at = 0; at < pieces[i].length; at += 37) yield pieces[i].subarray(at, at + 37);
        };
        const bytes = await writeGguf(path, contents, data);
        const model = await openGguf(path);
        const file = readFileSync(path);
        expect(file.length).toBe(bytes);
        expect(model.version).toBe(version);
        expect([...model.metadata]).toEqual(all.map(({ key, value }): [string, MetadataValue] => [key, value]));
        expect([...model.tensors.keys()]).toEqual(specs.map(({ name }) => name));
        for (const [i, { name, type, shape }] of specs.entries()) {
          const found = model.tensors.get(name);
          expect(found).toMatchObject({ type, shape, bytes: pieces[i].length });
          expect((found?.offset ?? -1) % align).toBe(0);
          expect(file.subarray(found?.offset).subarray(0, found?.bytes).equals(pieces[i])).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('has the layout that was announced, and reports progress up to it', async () => {
    const path = newPath();
    const progress: number[] = [];
    const bytes = await writeGguf(path, ONE, zeros, { onProgress: (written) => progress.push(written) });
    const { header, places } = layOut(ONE);
    const file = readFileSync(path);
    expect(file.length).toBe(bytes);
    expect(file.subarray(0, header.length).equals(header)).toBe(true);
    expect((await openGguf(path)).tensors.get('w')).toMatchObject(places[0]);
    expect(progress).toEqual([header.length, header.length + 64]);
  });
});

describe('what goes wrong', () => {
  const untouched = (path: string) => {
    expect(existsSync(`${path}.part`)).toBe(false);
    return readdirSync(folder).includes(path.slice(folder.length + 1));
  };

  it('refuses to replace a file, unless forced', async () => {
    const path = newPath();
    writeFileSync(path, 'precious');
    const error = await ntxError(writeGguf(path, ONE, zeros));
    expect(error.code).toBe('io');
    expect(error.message).toContain('exists already');
    expect(error.advice).toContain('--force');
    expect(readFileSync(path, 'utf8')).toBe('precious');
    await writeGguf(path, ONE, zeros, { force: true });
    expect((await openGguf(path)).tensors.size).toBe(1);
  });

  it('never replaces what is not a regular file', async () => {
    const link = newPath();
    symlinkSync('/dev/null', link);
    for (const path of ['/dev/null', folder, link]) {
      const error = await ntxError(writeGguf(path, ONE, zeros, { force: true }));
      expect(error.message).toContain('not a regular file');
    }
  });

  it('leaves the part of another run alone', async () => {
    const path = newPath();
    writeFileSync(`${path}.part`, 'another');
    const error = await ntxError(writeGguf(path, ONE, zeros));
    expect(error.message).toContain('.part');
    expect(readFileSync(`${path}.part`, 'utf8')).toBe('another');
    await writeGguf(path, ONE, zeros, { force: true });
    expect(untouched(path)).toBe(true);
  });

  it('says that the folder is missing', async () => {
    const error = await ntxError(writeGguf(join(folder, 'none', 'x.gguf'), ONE, zeros));
    expect(error.code).toBe('io');
    expect(error.message).toContain('folder');
  });

  it('says before it writes that the disk is too small', async () => {
    const path = newPath();
    const huge: GgufContents = { metadata: [], tensors: [{ name: 'w', type: 'F32', shape: [2 ** 40, 1000] }] };
    let asked = false;
    const data = () => {
      asked = true;
      return [];
    };
    const error = await ntxError(writeGguf(path, huge, data));
    expect(error.code).toBe('io');
    expect(error.message).toMatch(/needs \d+\.\d GiB, but its disk has \d+\.\d+ GiB free/);
    expect(asked).toBe(false);
    expect(untouched(path)).toBe(false);
  });

  it('removes what was written when the data fails, and passes the error on', async () => {
    const path = newPath();
    const failing = function* () {
      yield Buffer.alloc(32);
      throw new RangeError('from the data');
    };
    await expect(writeGguf(path, ONE, failing)).rejects.toThrow('from the data');
    expect(untouched(path)).toBe(false);
  });

  it('says that the disk became full, as the system says it in the middle', async () => {
    const path = newPath();
    const full = function* () {
      yield Buffer.alloc(32);
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
    };
    const error = await ntxError(writeGguf(path, ONE, full));
    expect(error.code).toBe('io');
    expect(error.message).toContain('disk became full');
    expect(untouched(path)).toBe(false);
  });

  it('takes neither more nor fewer bytes than a tensor has', async () => {
    for (const bytes of [63, 65]) {
      const path = newPath();
      await expect(writeGguf(path, ONE, () => [Buffer.alloc(bytes)])).rejects.toThrow(
        `64 bytes, but ${bytes} were given`,
      );
      expect(untouched(path)).toBe(false);
    }
  });

  it('stops when it is cancelled', async () => {
    const path = newPath();
    const controller = new AbortController();
    const data = function* () {
      yield Buffer.alloc(32);
      controller.abort();
      yield Buffer.alloc(32);
    };
    const error = await ntxError(writeGguf(path, ONE, data, { signal: controller.signal }));
    expect(error.code).toBe('cancelled');
    expect(untouched(path)).toBe(false);
  });
});
