// The decoder of op lists takes bytes from anyone: it refuses with an error that names the op, or what it accepts can be run.
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type HostAddon, loadHostAddon, type NativeList, type NativeMemory } from '../../src/backend/cpu/binding.js';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';
import type { CpuMemory } from '../../src/backend/cpu/memory.js';
import { encodeOps } from '../../src/backend/encode-ops.js';
import { makeList, makeStep, type Shape } from './lists.js';

const THREADS = 2;
const SHAPE: Shape = {
  sizes: { maxRows: 3, maxOutputs: 2, slots: 2, context: 40 },
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  vocabulary: 50,
  k: 7,
  window: 0,
};
const OP_BYTES = 128;

const backend = createCpuBackend({ threads: THREADS });
const addon = loadHostAddon().addon as HostAddon;
const waiting = new Map<number, () => void>();
const executor = new addon.Executor(THREADS, (completed) => {
  for (const [job, resolve] of waiting) if (job <= completed) resolve();
});
afterAll(async () => {
  executor.stop();
  await backend.dispose();
});

const { ops, bindings } = makeList(backend, SHAPE);
const encoded = encodeOps(ops, bindings);
const memories: NativeMemory[] = encoded.memories.map((memory) => (memory as CpuMemory).native);
const opsAt = encoded.bytes.length - ops.length * OP_BYTES;

function record(bytes: Uint8Array): NativeList {
  return new addon.OpList(bytes, memories, THREADS);
}

/** Runs a list that was accepted; resolves when it has come through. */
async function run(list: NativeList): Promise<void> {
  let job: number;
  try {
    job = executor.submit(list, makeStep(SHAPE, [0, 1], 2, 1).words);
  } catch (error) {
    expect((error as Error).message).toMatch(/^step buffer: /); // other sizes, other tables
    return;
  }
  await new Promise<void>((resolve) => {
    waiting.set(job, resolve);
  });
  waiting.delete(job);
}

function withWord(at: number, word: number): Uint8Array<ArrayBuffer> {
  const bytes = encoded.bytes.slice();
  new DataView(bytes.buffer).setUint32(at, word, true);
  return bytes;
}

const interesting = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 7, 16, 31, 32, 64, 255, 256, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff),
  fc.constantFrom(0x7f800000, 0xff800000, 0x7fc00000), // f32: infinities, NaN
  fc.nat(64),
  fc.nat(0xffffffff),
);
const words = encoded.bytes.length / 4;

describe('an op list', () => {
  it('is accepted as encoded, and runs', async () => {
    await run(record(encoded.bytes));
  });

  it('is refused when cut off anywhere, and with bytes after its end', () => {
    for (let length = 0; length < encoded.bytes.length; length += 4) {
      expect(() => record(encoded.bytes.slice(0, length))).toThrow();
    }
    expect(() => record(Uint8Array.of(...encoded.bytes, 0))).toThrow(/length/);
  });

  it('is refused without its memories, and with too few', () => {
    expect(() => new addon.OpList(encoded.bytes, [], THREADS)).toThrow(/range 0: names a memory/);
    expect(() => new addon.OpList(encoded.bytes, memories.slice(1), THREADS)).toThrow(/range/);
    expect(() => new addon.OpList(encoded.bytes, memories, 0)).toThrow(/threads/);
  });

  it('names the op and what is wrong with it', () => {
    const wrong = (index: number, word: number, value: number) => () =>
      record(withWord(opsAt + index * OP_BYTES + 4 * word, value));
    expect(wrong(0, 0, 99)).toThrow('op 0 (unknown): its kind, 99, is not known');
    expect(wrong(0, 1, 29)).toThrow('op 0 (embed): table: tensor type 29 is not known');
    expect(wrong(0, 2, 51)).toThrow(/^op 0 \(embed\): table: expected at least 3468 bytes, got 3400$/);
    expect(wrong(1, 4, 0)).toThrow('op 1 (rms-norm): its width is 0');
    expect(wrong(1, 5, 0x7fc00000)).toThrow(/op 1 \(rms-norm\): its epsilon/);
    expect(wrong(1, 6, 2)).toThrow('op 1 (rms-norm): select_outputs is neither 0 nor 1');
    expect(wrong(2, 2, 4)).toThrow('op 2 (matmul): it has not 1 to 3 parts');
    expect(wrong(2, 1, 500)).toThrow('op 2 (matmul): input has no range');
    expect(wrong(3, 10, 3)).toThrow(/op 3 \(rope-kv-write\): its heads are not a multiple/);
    expect(wrong(3, 12, 15)).toThrow(/op 3 \(rope-kv-write\): its rotated width/);
    expect(wrong(4, 5, 0xffffffff)).toThrow(/op 4 \(attention\)/);
    expect(wrong(4, 8, 0)).toThrow('op 4 (attention): its scale is not a positive number');
    expect(wrong(6, 5, 49)).toThrow('op 6 (gated-matmul): gate and up differ in shape');
    expect(wrong(9, 4, 0)).toThrow('op 9 (top-k): its width or k is 0');
    expect(wrong(9, 4, 0xffffffff)).toThrow(/op 9 \(top-k\): out: expected at least \d+ bytes/);
  });

  it('with changed words is refused by an error, or runs', async () => {
    const change = fc.tuple(fc.nat(words - 1), interesting);
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = encoded.bytes.slice();
        const view = new DataView(bytes.buffer);
        for (const [word, value] of changes) view.setUint32(4 * word, value, true);
        let list: NativeList;
        try {
          list = record(bytes);
        } catch (error) {
          expect((error as Error).message).toMatch(/^(op list|range \d+|op \d+ \([a-z-]+\)): .+/);
          return;
        }
        await run(list);
        list.dispose();
      }),
      { numRuns: 3000 },
    );
  });

  it('of random bytes is refused', () => {
    const head = encoded.bytes.slice(0, 8);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, withMagic) => {
        if (withMagic) bytes.set(head.subarray(0, Math.min(8, bytes.length)));
        expect(() => record(bytes)).toThrow();
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a step buffer', () => {
  const list = record(encoded.bytes);
  const submit = (change: (step: ReturnType<typeof makeStep>) => void) => () => {
    const step = makeStep(SHAPE, [0, 1], 2, 1);
    change(step);
    executor.submit(list, step.words);
  };

  it('is refused with rows, tokens, positions, slots, outputs or targets that do not exist', () => {
    const at = (index: number, value: number) => submit(({ words }) => words.set([value], index));
    expect(at(0, 4)).toThrow('step buffer: header 0 has rows 4, expected less than 4');
    expect(at(1, 3)).toThrow('step buffer: header 0 has outputs 3');
    expect(at(4, 50)).toThrow('step buffer: row 0 has token 50, expected less than 50');
    expect(at(5, 40)).toThrow('step buffer: row 0 has position 40');
    expect(at(10, 2)).toThrow('step buffer: row 1 has slot 2');
    expect(at(16, 2)).toThrow('step buffer: output 0 has row 2');
    expect(at(19, 50)).toThrow('step buffer: output 1 has target 50');
    expect(at(19, 0xffffffff)).not.toThrow();
    expect(() => executor.submit(list, new Uint32Array(19))).toThrow(/^step buffer: 19 words/);
    expect(() => executor.submit(list, new Uint8Array(80) as never)).toThrow(/Uint32Array/);
  });

  it('of any words is refused, or runs', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(interesting, { minLength: 20, maxLength: 20 }), async (values) => {
        let job: number;
        try {
          job = executor.submit(list, Uint32Array.from([values[0] % 5, values[1] % 4, ...values.slice(2)]));
        } catch (error) {
          expect((error as Error).message).toMatch(/^step buffer: /);
          return;
        }
        await new Promise<void>((resolve) => {
          waiting.set(job, resolve);
        });
        waiting.delete(job);
      }),
      { numRuns: 2000 },
    );
  });
});
