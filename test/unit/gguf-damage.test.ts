// Damaged headers: opening gives a model or an NtxError, soon and in little memory, whatever the bytes are.
import { closeSync, copyFileSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { NtxError } from '../../src/errors.js';
import { openGguf } from '../../src/gguf/open.js';
import type { GgufModel } from '../../src/gguf/types.js';
import { cpuSeconds } from './cpu-seconds.js';
import { entry, ggufFile, ntxError, temporaryFolder, tensor, text, u32, u64 } from './gguf-bytes.js';

const folder = temporaryFolder();
const REAL = 'models/fable-5m-q4_k_m.gguf';
const real = readFileSync(REAL);
const model = await openGguf(REAL);
const dataStart = Math.min(...[...model.tensors.values()].map(({ offset }) => offset));
const dataEnd = Math.max(...[...model.tensors.values()].map(({ offset, bytes }) => offset + bytes));

/** Where keys and tensor names begin and end, and the fields around them. */
function boundaries(): number[] {
  const cuts: number[] = [];
  for (const name of [...model.metadata.keys(), ...model.tensors.keys()]) {
    const at = real.indexOf(text(name));
    const end = at + 8 + name.length;
    cuts.push(at, at + 8, end, end + 4, end + 8, end + 12, end + 16, end + 20);
  }
  return cuts;
}

/** Cuts one copy of the file shorter and shorter and opens it after each cut. */
async function expectCutShort(path: string, cuts: number[]): Promise<void> {
  for (const cut of cuts.sort((a, b) => b - a)) {
    truncateSync(path, cut);
    const error = await ntxError(openGguf(path));
    expect(error.code).toBe('bad-file');
    expect(error.message).toMatch(/cut short|is empty|not a GGUF file/);
  }
}

describe('files that end too early', () => {
  it('a small header, cut at every byte', async () => {
    const scalars = [1, 1, 2, 2, 4, 4, 4, 1].map((bytes, type) => entry(`k${type}`, type, Buffer.alloc(bytes)));
    const entries = [
      ...scalars,
      entry('string', 8, text('value')),
      entry('array', 9, u32(8), u64(2), text('a'), text('bc')),
      entry('nested', 9, u32(9), u64(1), u32(10), u64(1), u64(5)),
      entry('i64', 11, u64(1)),
      entry('f64', 12, u64(0)),
    ];
    const bytes = ggufFile({
      entries,
      tensors: [tensor(), tensor({ name: 'v', shape: [4, 4], offset: 32 })],
      dataBytes: 96,
    });
    const path = join(folder, 'small.gguf');
    writeFileSync(path, bytes);
    expect((await openGguf(path)).tensors.size).toBe(2);
    await expectCutShort(path, [...Array(bytes.length).keys()]);
  });

  it('a real header, cut at each field and at 200 random places', async () => {
    const path = join(folder, 'real.gguf');
    copyFileSync(REAL, path);
    const random = fc.sample(fc.integer({ min: 0, max: dataStart }), { numRuns: 200, seed: 1 });
    const seconds = cpuSeconds();
    await expectCutShort(path, [...boundaries(), ...random]);
    expect(seconds()).toBeLessThan(15);
  });

  it('real weights, cut anywhere', async () => {
    const path = join(folder, 'weights.gguf');
    copyFileSync(REAL, path);
    const random = fc.sample(fc.integer({ min: dataStart, max: dataEnd - 1 }), { numRuns: 20, seed: 2 });
    await expectCutShort(path, [dataEnd - 1, dataStart, ...random]);
  });
});

describe('changed headers', () => {
  const path = join(folder, 'changed.gguf');
  copyFileSync(REAL, path);
  const file = openSync(path, 'r+');
  afterAll(() => closeSync(file));

  /** Opens the file with some bytes replaced, checks what comes, and puts the bytes back. */
  async function openChanged(edits: readonly { at: number; bytes: Uint8Array }[]): Promise<void> {
    for (const { at, bytes } of edits) writeSync(file, bytes, 0, bytes.length, at);
    const seconds = cpuSeconds();
    const outcome = await openGguf(path).catch((error: unknown) => error);
    const took = seconds();
    for (const { at, bytes } of edits) writeSync(file, real, at, bytes.length, at);
    if (outcome instanceof Error && !(outcome instanceof NtxError)) throw outcome;
    if (!(outcome instanceof Error)) expectSound(outcome as GgufModel);
    expect(took).toBeLessThan(2);
  }

  function expectSound({ tensors, files }: GgufModel): void {
    const sorted = [...tensors.values()].sort((a, b) => a.offset - b.offset);
    let end = 0;
    for (const { offset, bytes, file: index } of sorted) {
      expect(offset).toBeGreaterThanOrEqual(end);
      end = offset + bytes;
      expect(Number.isSafeInteger(end) && end <= files[index].bytes).toBe(true);
    }
  }

  const fields = boundaries().filter((at) => at < dataStart - 8);
  const place = fc.oneof(fc.integer({ min: 4, max: dataStart - 9 }), fc.constantFrom(...fields, 4, 8, 16));
  const extreme = fc.constantFrom(
    ...[2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, 2n ** 53n - 1n, 2n ** 32n, 2n ** 31n, 0n, 1n].map(u64),
    u64(real.length),
    u64(real.length - dataStart + 1),
    u32(9),
    u32(8),
    u32(0xffffffff),
  );
  const noise = fc.uint8Array({ minLength: 1, maxLength: 4 });
  const edits = fc.array(fc.record({ at: place, bytes: fc.oneof(noise, extreme) }), { minLength: 1, maxLength: 4 });

  it('give a sound model or an NtxError, each within two seconds and 256 MiB', { timeout: 60_000 }, async () => {
    const before = process.resourceUsage().maxRSS;
    await fc.assert(fc.asyncProperty(edits, openChanged), { numRuns: 1000 });
    expect((process.resourceUsage().maxRSS - before) / 1024).toBeLessThan(256);
    expect(readFileSync(path).equals(real)).toBe(true);
  });

  it('at every field, with the largest number', async () => {
    for (const at of fields) await openChanged([{ at, bytes: u64(2n ** 64n - 1n) }]);
  });
});
