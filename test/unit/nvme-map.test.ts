import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { usableExtents } from '../../src/nvme/file-extents.js';
import { type MappedFile, parseModelMap, runsOf, samplePlaces } from '../../src/nvme/model-map.js';

const BLOCK = 4096;

describe('extents of a file', () => {
  const whole = [
    { offset: 0, device: 40_960, bytes: 8192, flags: 0 },
    { offset: 8192, device: 49_152, bytes: 4096, flags: 0x1000 },
    { offset: 12_288, device: 4096, bytes: 8192, flags: 0x2001 },
  ];

  test('neighbours become one, and the last ends with the file', () => {
    expect(usableExtents('m', 13_000, whole)).toEqual([
      { offset: 0, device: 40_960, bytes: 12_288 },
      { offset: 12_288, device: 4096, bytes: 712 },
    ]);
  });

  test('holes are refused, wherever they are', () => {
    expect(() => usableExtents('m', 20_000, whole.slice(1))).toThrow(/byte 0 is a hole/);
    expect(() => usableExtents('m', 20_000, [whole[0], whole[2]])).toThrow(/byte 8192 is a hole/);
    expect(() => usableExtents('m', 30_000, whole)).toThrow(/byte 20480 is a hole/);
    expect(() => usableExtents('m', 1, [])).toThrow(/is a hole/);
  });

  const refused: [string, number, RegExp][] = [
    ['unknown', 0x2, /no known place/],
    ['delayed', 0x4 | 0x2, /no known place|not been written/],
    ['delayed alone', 0x4, /not been written to the drive yet/],
    ['encoded', 0x8, /encoded/],
    ['encrypted', 0x80, /encrypted/],
    ['not aligned', 0x100, /no whole block/],
    ['inline', 0x200 | 0x100, /no whole block|inline/],
    ['tail', 0x400, /tail packing/],
    ['unwritten', 0x800, /never written/],
  ];
  test.each(refused)('%s extents are refused with advice', (_, flags, sentence) => {
    const extents = [whole[0], { ...whole[1], flags }, whole[2]];
    expect(() => usableExtents('m', 20_000, extents)).toThrow(sentence);
    expect(() => usableExtents('m', 20_000, extents)).toThrow(
      expect.objectContaining({ code: 'unsupported', advice: expect.any(String) }),
    );
  });
});

/** A file whose extents lie anywhere on the drive, in any order. */
const anyFile = fc
  .array(fc.record({ blocks: fc.integer({ min: 1, max: 9000 }), gap: fc.nat(5) }), { minLength: 1, maxLength: 12 })
  .chain((parts) =>
    fc.record({
      parts: fc.constant(parts),
      order: fc.shuffledSubarray([...parts.keys()], { minLength: parts.length }),
    }),
  )
  .map(({ parts, order }): MappedFile => {
    const places: number[] = [];
    let next = BLOCK;
    for (const i of order) {
      places[i] = next + parts[i].gap * BLOCK;
      next = places[i] + parts[i].blocks * BLOCK;
    }
    let offset = 0;
    const extents = parts.map(({ blocks }, i) => {
      const extent = { offset, drive: places[i], bytes: blocks * BLOCK, samples: 'x' };
      offset += extent.bytes;
      return extent;
    });
    return { name: 'm.gguf', bytes: offset, headerBytes: 0, headerHash: 'x', extents };
  });

test('runs cover exactly what is asked for, each byte where its extent has it', () => {
  fc.assert(
    fc.property(anyFile, fc.nat(), fc.nat(), (file, a, b) => {
      const offset = a % (file.bytes + 1);
      const bytes = b % (file.bytes - offset + 1);
      let at = 0;
      for (const run of runsOf(file, offset, bytes)) {
        expect(run.at).toBe(at);
        const extent = file.extents.find((one) => one.offset <= offset + at && offset + at < one.offset + one.bytes)!;
        expect(run.offset).toBe(extent.drive + offset + at - extent.offset);
        expect(run.offset + run.bytes).toBeLessThanOrEqual(extent.drive + extent.bytes);
        expect(run.bytes).toBeGreaterThan(0);
        at += run.bytes;
      }
      expect(at).toBe(bytes);
    }),
  );
});

test('samples: first and last bytes and one in every 8 MiB, without overlap, inside', () => {
  fc.assert(
    fc.property(
      fc.nat(1000),
      fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 200 << 20 })),
      (offset, bytes) => {
        const places = samplePlaces({ offset, bytes });
        expect(places[0].offset).toBe(offset);
        expect(places.at(-1)!.offset + places.at(-1)!.bytes).toBe(offset + bytes);
        for (const [i, place] of places.entries()) {
          expect(place.bytes).toBeGreaterThan(0);
          if (i > 0) {
            const before = places[i - 1];
            expect(place.offset).toBeGreaterThanOrEqual(before.offset + before.bytes);
            expect(place.offset - before.offset).toBeLessThanOrEqual(8 << 20);
          }
        }
      },
    ),
  );
});

describe('maps', () => {
  const extents = [{ offset: 0, drive: 4096, bytes: 100, samples: 'x' }];
  const file = { name: 'm.gguf', bytes: 100, headerBytes: 10, headerHash: 'x', extents };
  const good = { ntxmap: 1, made: '', drive: { serial: 's', model: '', namespace: 1 }, files: [file] };

  test('a good one is read', () => expect(parseModelMap('p', JSON.stringify(good))).toEqual(good));

  const bad: [string, unknown, RegExp][] = [
    ['no object', null, /expected "ntxmap": 1/],
    ['another version', { ...good, ntxmap: 2 }, /expected "ntxmap": 1, got 2/],
    ['no serial', { ...good, drive: { namespace: 1 } }, /serial number is missing/],
    ['no namespace', { ...good, drive: { serial: 's', namespace: 0 } }, /namespace is missing/],
    ['no files', { ...good, files: [] }, /no files/],
    ['no extents', { ...good, files: [{ ...file, extents: 5 }] }, /no extents/],
    [
      'a gap',
      { ...good, files: [{ ...file, extents: [{ ...extents[0], offset: 1 }] }] },
      /a gap or a wrong number at byte 0/,
    ],
    ['null', { ...good, files: [{ ...file, extents: [null] }] }, /wrong number/],
    ['negative', { ...good, files: [{ ...file, extents: [{ ...extents[0], drive: -1 }] }] }, /wrong number/],
    ['too short', { ...good, files: [{ ...file, bytes: 101 }] }, /end at byte 100 of 101/],
    [
      'a header that no memory holds',
      {
        ...good,
        files: [{ ...file, bytes: 2 ** 44, headerBytes: 2 ** 43, extents: [{ ...extents[0], bytes: 2 ** 44 }] }],
      },
      /sizes of m.gguf are wrong/,
    ],
    ['a header beyond the file', { ...good, files: [{ ...file, headerBytes: 101 }] }, /sizes of m.gguf are wrong/],
  ];
  test.each(bad)('%s is refused', (_, map, sentence) => {
    expect(() => parseModelMap('p', JSON.stringify(map))).toThrow(sentence);
  });
  test('what is no JSON is refused', () => expect(() => parseModelMap('p', 'GGUF')).toThrow(/expected JSON/));
});
