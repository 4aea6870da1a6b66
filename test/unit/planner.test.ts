import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';

interface Planner {
  alignedBegin(offset: bigint, alignment: bigint): bigint;
  alignedEnd(offset: bigint, bytes: bigint, alignment: bigint): bigint;
}

/** Node has it; its declarations come only with those of a browser. */
interface WebAssemblyGlobal {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: unknown } }>;
}

let planner: Planner;

beforeAll(async () => {
  const wasm = await readFile(new URL('../../dist/planner.wasm', import.meta.url));
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };
  const { instance } = await WebAssembly.instantiate(wasm, { env: { abort: () => expect.unreachable() } });
  planner = instance.exports as Planner;
});

test('an aligned read covers its range and is no longer than it must be', () => {
  const alignment = fc.integer({ min: 0, max: 21 }).map((bits) => 1n << BigInt(bits));
  const bytes = fc.bigInt({ min: 0n, max: 1n << 50n });
  fc.assert(
    fc.property(bytes, bytes, alignment, (offset, length, step) => {
      const begin = planner.alignedBegin(offset, step);
      const end = planner.alignedEnd(offset, length, step);
      expect([begin % step, end % step]).toEqual([0n, 0n]);
      expect(begin <= offset && offset - begin < step).toBe(true);
      expect(end >= offset + length && end - (offset + length) < step).toBe(true);
    }),
  );
});
