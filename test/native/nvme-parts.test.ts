import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadVfioAddon } from '../../src/nvme/binding.js';

const { internals } = loadVfioAddon();

/** What a controller makes of PRP entries (NVMe Base Specification 2.0, 4.1.1): the bytes' addresses, page by page. */
function walk(
  flat: readonly number[],
  bytes: number,
  page: number,
  listIova: number,
): [address: number, bytes: number][] {
  const [first, second, ...list] = flat;
  const inFirst = Math.min(bytes, page - (first % page));
  const parts: [number, number][] = [[first, inFirst]];
  let left = bytes - inFirst;
  if (left > 0 && left <= page) parts.push([second, left]);
  if (left <= page) return parts;
  for (let at = second; left > 0; ) {
    const entry = list[(at - listIova) / 8];
    if (at % page === page - 8 && left > page) {
      at = entry;
      continue;
    }
    parts.push([entry, Math.min(left, page)]);
    left -= page;
    at += 8;
  }
  return parts;
}

describe('physical region pages', () => {
  const transfer = fc.record({
    page: fc.constantFrom(4096, 8192, 65536),
    pages: fc.integer({ min: 1, max: 40_000 }),
    inPage: fc.nat(16_383).map((n) => n * 4),
    blocks: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 32_768 })),
  });
  test('name every byte once and in order, wherever a transfer begins and however long it is', () => {
    fc.assert(
      fc.property(transfer, ({ page, pages, inPage, blocks }) => {
        const iova = pages * page + (inPage % page);
        const [bytes, listIova] = [blocks * 512, 2 ** 40];
        const flat = [...internals.prps(iova, bytes, page, listIova)];
        let expected = iova;
        for (const [address, count] of walk(flat, bytes, page, listIova)) {
          if (address !== expected) expect.fail(`${address} where ${expected} comes next`);
          expected += count;
        }
        expect(expected).toBe(iova + bytes);
        // All entries but the first are whole pages.
        expect(flat.slice(1).filter((entry) => entry % page !== 0)).toEqual([]);
      }),
    );
  });

  test('lists chain exactly when they are longer than a page', () => {
    const lengths = [4096, 8192, 12_288, 513 * 4096, 514 * 4096, 1025 * 4096].map((bytes) => {
      return internals.prps(2 ** 20, bytes, 4096, 2 ** 40).filter((entry) => entry >= 2 ** 40).length;
    });
    // With 513 pages, 512 entries fill the list's page; one more page makes its last entry lead to a second.
    expect(lengths).toEqual([0, 0, 1, 1, 2, 3]);
  });
});

test('pieces: whole blocks straight to the target, the rest through bounce buffers, every byte once', () => {
  const run = fc.record({
    offset: fc.nat(1 << 22),
    bytes: fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 9 << 20 })),
    at: fc.nat(1 << 20),
    address: fc.nat(4095),
    direct: fc.boolean(),
    block: fc.constantFrom(512, 4096),
    most: fc.constantFrom(4096, 128 << 10, 1 << 20),
  });
  fc.assert(
    fc.property(run, ({ offset, bytes, at, address, direct, block, most }) => {
      const bounce = Math.min(64 << 10, most);
      const flat = [...internals.pieces(offset, bytes, at, address, direct, block, most, bounce)];
      let position = offset;
      for (let i = 0; i < flat.length; i += 6) {
        const [first, blocks, bounced, skip, count, to] = flat.slice(i, i + 6);
        expect([first * block + skip, to]).toEqual([position, at + position - offset]);
        expect(skip + count).toBeLessThanOrEqual(blocks * block);
        expect(skip).toBeLessThan(block);
        expect(blocks * block).toBeLessThanOrEqual(bounced ? bounce : most);
        if (!bounced) expect([direct, (address + to) % 4, skip, count]).toEqual([true, 0, 0, blocks * block]);
        position += count;
      }
      expect(position).toBe(offset + bytes);
      const whole = Math.floor((offset + bytes) / block) * block - Math.ceil(offset / block) * block;
      const aligned = (address + at + Math.ceil(offset / block) * block - offset) % 4 === 0;
      const bouncedBytes = flat.reduce((sum, _, i) => sum + (i % 6 === 2 && flat[i] ? flat[i + 2] : 0), 0);
      expect(bouncedBytes).toBe(direct && aligned && whole > 0 ? bytes - whole : bytes);
    }),
    { numRuns: 300 },
  );
});

test('rings: commands and completions come out once, in any order of completion, around the end and across reuse', () => {
  const model = fc.record({
    entries: fc.integer({ min: 2, max: 9 }),
    slots: fc.integer({ min: 1, max: 12 }),
    steps: fc.array(fc.record({ kind: fc.constantFrom('put', 'fetch', 'answer', 'take'), which: fc.nat(20) }), {
      maxLength: 300,
    }),
  });
  fc.assert(
    fc.property(model, ({ entries, slots, steps }) => {
      const rings = new internals.Rings(entries, slots);
      const [queued, running, answered]: number[][] = [[], [], []];
      const inFlight = new Set<number>();
      let heads: number[] = []; // of every answer: what was fetched by then and not acknowledged
      let unacknowledged = 0; // fetched, and the driver does not know it yet
      for (const { kind, which } of steps) {
        if (kind === 'put') {
          const room = Math.min(entries - 1 - queued.length - unacknowledged, slots - inFlight.size);
          expect(rings.room()).toBe(room);
          if (room === 0) continue;
          const id = rings.put();
          expect(inFlight.has(id)).toBe(false);
          inFlight.add(id);
          queued.push(id);
        } else if (kind === 'fetch') {
          const id = rings.fetch();
          expect(id).toBe(queued.shift() ?? -1);
          if (id < 0) continue;
          unacknowledged++;
          running.push(id);
        } else if (kind === 'answer' && running.length > 0 && answered.length < entries - 1) {
          const [id] = running.splice(which % running.length, 1);
          rings.answer(id);
          answered.push(id);
          heads.push(unacknowledged);
        } else if (kind === 'take') {
          const id = rings.take();
          expect(id).toBe(answered.shift() ?? -1);
          if (id < 0) continue;
          inFlight.delete(id);
          const acknowledged = heads.shift()!;
          unacknowledged -= acknowledged;
          heads = heads.map((count) => count - acknowledged);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('a completion that nobody waits for is told', () => {
  const rings = new internals.Rings(4, 3);
  const id = rings.put();
  rings.fetch();
  rings.answer(id);
  rings.answer(id);
  expect([rings.take(), rings.take(), rings.take()]).toEqual([id, -2, -1]);
});

test('addresses for the drive: aligned, never twice, inside what the IOMMU allows, all of it again after giving back', () => {
  const steps = fc.array(
    fc.record({ take: fc.boolean(), pages: fc.integer({ min: 1, max: 700 }), shift: fc.nat(9), which: fc.nat(50) }),
    { maxLength: 120 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const [first, hole, after, last] = [0, 0xfedfffff, 0xfef00000, 0x1_ffff_ffff];
      const space = new internals.IovaSpace(first, hole, after, last);
      const taken: { address: number; bytes: number }[] = [];
      for (const { take, pages, shift, which } of list) {
        if (!take && taken.length > 0) {
          const [{ address, bytes }] = taken.splice(which % taken.length, 1);
          space.giveBack(address, bytes);
          continue;
        }
        const [bytes, alignment] = [pages * 4096, 4096 * 2 ** shift];
        const address = space.take(bytes, alignment);
        expect(address % alignment).toBe(0);
        expect(address).toBeGreaterThan(0);
        expect(address + bytes - 1 <= hole || (address >= after && address + bytes - 1 <= last)).toBe(true);
        for (const other of taken) {
          expect(address + bytes <= other.address || other.address + other.bytes <= address).toBe(true);
        }
        taken.push({ address, bytes });
      }
      for (const { address, bytes } of taken) space.giveBack(address, bytes);
      expect(space.take(0xfe000000, 4096)).toBe(4096);
    }),
  );
  expect(() => new internals.IovaSpace(0, 8191).take(8192, 4096)).toThrow(/no 8192 addresses left/);
});

describe('huge pages without an IOMMU', () => {
  const PRESENT = 1n << 63n;
  /** 512 entries of a pagemap: one after the other from a frame on. */
  const entries = (frame: bigint, changed: [number, bigint][] = []) => {
    const list = BigUint64Array.from({ length: 512 }, (_, i) => PRESENT | (frame + BigInt(i)));
    for (const [i, entry] of changed) list[i] = entry;
    return list;
  };

  test('their address is that of their first small page', () => {
    const frame = fc.bigInt({ min: 1n, max: (1n << 31n) - 1n }).map((n) => n * 512n);
    // Bits above the frame's number are of other things: soft-dirty, exclusively mapped, file.
    const flags = fc.constantFrom(0n, 1n << 55n, 1n << 56n, 1n << 61n);
    fc.assert(
      fc.property(frame, flags, (first, flag) => {
        const list = entries(first).map((entry) => entry | flag);
        expect(internals.hugePageAddress(list, 4096)).toBe(Number(first) * 4096);
      }),
    );
  });

  test('what is no huge page is refused, wherever it differs from one', () => {
    const change = fc.record({ at: fc.nat(511), by: fc.integer({ min: 1, max: 1 << 20 }) });
    fc.assert(
      fc.property(change, ({ at, by }) => {
        const other = PRESENT | BigInt(512 * 9 + at + by);
        expect(() => internals.hugePageAddress(entries(512n * 9n, [[at, other]]), 4096)).toThrow(/no huge page/);
        const absent = [[at, BigInt(512 * 9 + at)]] as [number, bigint][];
        expect(() => internals.hugePageAddress(entries(512n * 9n, absent), 4096)).toThrow(/not in memory/);
      }),
    );
    expect(() => internals.hugePageAddress(entries(512n * 9n + 1n), 4096)).toThrow(/no huge page of 2 MiB/);
    expect(() => internals.hugePageAddress(entries(512n * 9n).slice(0, 256), 4096)).toThrow(/no huge page of 2 MiB/);
  });

  test('hidden addresses are told from those', () => {
    const hidden = new BigUint64Array(512).fill(PRESENT);
    expect(() => internals.hugePageAddress(hidden, 4096)).toThrow(/CAP_SYS_ADMIN/);
  });
});

test('one thread keeps 95 % of a drive of 14 GB/s and 80 us busy with commands of 1 MiB', () => {
  const drive = { bytes: 16 * 2 ** 30, latencyNanoseconds: 80_000, bytesPerSecond: 14e9, cpuNanoseconds: 2000 };
  const share = (depth: number) => {
    const { seconds, busySeconds } = internals.simulate({ ...drive, depth, commandBytes: 1 << 20 }, 2 ** 30);
    return busySeconds / seconds;
  };
  expect(share(64)).toBeGreaterThan(0.95);
  expect(share(32)).toBeGreaterThan(0.95);
  // One at a time it waits for the latency: 75 of 155 us and more.
  expect(share(1)).toBeLessThan(0.5);
});
