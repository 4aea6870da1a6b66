import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { loadHostAddon } from '../../src/backend/cpu/binding.js';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';
import { checksum } from '../../src/streaming/checksum.js';

const backend = createCpuBackend({ threads: 1 });
const BYTES = (8 << 20) + 4321;
const memory = backend.allocateHost(BYTES + 100, 'test');
const content = randomBytes(BYTES);
afterAll(() => backend.dispose());

it('is XXH3 of 64 bits (its published test values)', async () => {
  const sum = (text: string) => loadHostAddon().addon?.checksum(Buffer.from(text));
  expect(await sum('')).toBe(0x2d06800538d394c2n);
  expect(await sum('a')).toBe(0xe6c632b61e964e1fn);
  expect(await sum('abc')).toBe(0x78af5f94892f3950n);
});

it('depends on every bit, and not on the place', async () => {
  memory.view(7, BYTES).set(content);
  const whole = await checksum({ memory, offset: 7, bytes: BYTES });
  memory.view(64, BYTES).set(content);
  expect(await checksum({ memory, offset: 64, bytes: BYTES })).toBe(whole);
  expect(await checksum({ memory, offset: 64, bytes: BYTES - 1 })).not.toBe(whole);
  const view = memory.view(64, BYTES);
  await fc.assert(
    fc.asyncProperty(fc.nat(BYTES - 1), fc.nat(7), async (byte, bit) => {
      view[byte] ^= 1 << bit;
      expect(await checksum({ memory, offset: 64, bytes: BYTES })).not.toBe(whole);
      view[byte] ^= 1 << bit;
    }),
    { numRuns: 30 },
  );
  expect(await checksum({ memory, offset: 64, bytes: BYTES })).toBe(whole);
});
