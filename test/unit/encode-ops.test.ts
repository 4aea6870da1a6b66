// The bytes of native/ops.h, read back word by word against the structs there.
import { describe, expect, it } from 'vitest';
import type { Bindings, BoundWeight, DeviceMemory, DeviceRange } from '../../src/backend/backend.js';
import { encodeOps } from '../../src/backend/encode-ops.js';
import type { Op } from '../../src/backend/ops.js';
import type { GgmlType } from '../../src/gguf/types.js';

const NONE = 0xffffffff;
const HEADER_BYTES = 32;
const RANGE_BYTES = 24;
const OP_BYTES = 128;

function memory(label: string, bytes: number): DeviceMemory {
  return { label, bytes, free: () => {} };
}

const a = memory('a', 1 << 20);
const b = memory('b', 5 * 2 ** 32);
const range = (of: DeviceMemory, offset: number, bytes: number): DeviceRange => ({ memory: of, offset, bytes });
const weight = (type: GgmlType, rows: number, cols: number, at: DeviceRange): BoundWeight => ({
  type,
  rows,
  cols,
  range: at,
});

const buffers = new Map<string, DeviceRange>([
  ['x', range(a, 0, 4096)],
  ['y', range(a, 4096, 4096)],
  ['z', range(a, 8192, 4096)],
  ['q', range(a, 12288, 4096)],
  ['k', range(a, 16384, 4096)],
  ['v', range(a, 20480, 4096)],
  ['rope', range(a, 24576, 4096)],
  ['out', range(a, 28672, 4096)],
  ['k cache', range(a, 65536, 65536)],
  ['v cache', range(a, 131072, 65536)],
]);
const weights = new Map<string, BoundWeight>([
  ['table', weight('Q8_0', 10, 64, range(b, 2 ** 33 + 32, 10 * 68))],
  ['matrix', weight('Q4_K', 8, 256, range(b, 0, 8 * 144))],
  ['square', weight('F32', 64, 64, range(b, 65536, 64 * 64 * 4))],
  ['bias', weight('F32', 1, 64, range(b, 4096, 256))],
  ['norm', weight('F32', 1, 64, range(b, 8192, 256))],
  ['head norm', weight('F32', 1, 16, range(b, 8448, 64))],
]);
const bindings: Bindings = { weights, buffers, sizes: { maxRows: 3, maxOutputs: 2, slots: 2, context: 32 } };

function decode(ops: readonly Op[]) {
  const { bytes, memories } = encodeOps(ops, bindings);
  const view = new DataView(bytes.buffer);
  const u32 = (at: number) => view.getUint32(at, true);
  const header = Array.from({ length: 8 }, (_, i) => u32(4 * i));
  const ranges = Array.from({ length: header[2] }, (_, i) => {
    const at = HEADER_BYTES + i * RANGE_BYTES;
    return {
      memory: memories[u32(at)].label,
      offset: Number(view.getBigUint64(at + 8, true)),
      bytes: Number(view.getBigUint64(at + 16, true)),
    };
  });
  const opsAt = HEADER_BYTES + ranges.length * RANGE_BYTES;
  expect(bytes.length).toBe(opsAt + ops.length * OP_BYTES);
  const words = ops.map((_, index) => Array.from({ length: 32 }, (_, i) => u32(opsAt + index * OP_BYTES + 4 * i)));
  /** What a range index in an op stands for: the offset of its range. */
  const at = (index: number) => (index === NONE ? null : ranges[index].offset);
  return {
    header,
    ranges,
    words,
    at,
    memories,
    f32: (word: number) => new Float32Array(Uint32Array.of(word).buffer)[0],
  };
}

const offsetOf = (name: string) => (buffers.get(name) ?? weights.get(name)!.range).offset;

describe('encodeOps', () => {
  const embed: Op = { kind: 'embed', table: 'table', out: 'x' };
  const norm: Op = {
    kind: 'rms-norm',
    input: 'x',
    weight: 'norm',
    out: 'y',
    width: 64,
    eps: 1e-5,
    selectOutputs: true,
  };

  it('writes the header and each range once, beyond 4 GiB too', () => {
    const { header, ranges, memories } = decode([embed, norm]);
    expect(header).toEqual([0x4f58544e, 1, 4, 2, 3, 2, 2, 32]);
    expect(memories).toEqual([b, a]);
    expect(ranges).toEqual([
      { memory: 'b', offset: 2 ** 33 + 32, bytes: 680 },
      { memory: 'a', offset: 0, bytes: 4096 },
      { memory: 'b', offset: 8192, bytes: 256 },
      { memory: 'a', offset: 4096, bytes: 4096 },
    ]);
  });

  it('writes embed and rms-norm', () => {
    const { words, at, f32 } = decode([embed, norm]);
    expect(words[0].slice(0, 4)).toEqual([1, 8, 10, 64]);
    expect([at(words[0][4]), at(words[0][5])]).toEqual([offsetOf('table'), offsetOf('x')]);
    expect(words[1].slice(0, 1)).toEqual([2]);
    expect(words[1].slice(1, 4).map(at)).toEqual(['x', 'norm', 'y'].map(offsetOf));
    expect([words[1][4], f32(words[1][5]), words[1][6]]).toEqual([64, Math.fround(1e-5), 1]);
    expect(words[1].slice(7)).toEqual(new Array(25).fill(0));
  });

  it('lets embed read a matrix where the host has it', () => {
    const tied = { ...weights.get('table')!, table: range(a, 1024, 680) };
    const { bytes, memories } = encodeOps([embed], { ...bindings, weights: new Map([['table', tied]]) });
    const view = new DataView(bytes.buffer);
    expect(memories[view.getUint32(HEADER_BYTES, true)]).toBe(a);
    expect(view.getBigUint64(HEADER_BYTES + 8, true)).toBe(1024n);
  });

  it('writes matmul with and without bias', () => {
    const { words, at } = decode([
      {
        kind: 'matmul',
        input: 'x',
        parts: [
          { weight: 'square', bias: 'bias', out: 'y' },
          { weight: 'square', bias: null, out: 'z' },
        ],
        accumulate: true,
        outputs: false,
      },
    ]);
    const [op] = words;
    expect([op[0], at(op[1]), op[2], op[3], op[4]]).toEqual([3, offsetOf('x'), 2, 1, 0]);
    expect([op[5], op[6], op[7], at(op[8]), at(op[9]), at(op[10])]).toEqual([
      ...[0, 64, 64],
      ...['square', 'bias', 'y'].map(offsetOf),
    ]);
    expect([op[11], op[12], op[13], at(op[14]), op[15], at(op[16])]).toEqual([
      ...[0, 64, 64, offsetOf('square')],
      ...[NONE, offsetOf('z')],
    ]);
  });

  it('writes gated-matmul', () => {
    const { words, at } = decode([
      { kind: 'gated-matmul', input: 'x', gate: 'matrix', up: 'matrix', out: 'y', activation: 'silu' },
    ]);
    const [op] = words;
    expect([op[0], at(op[1]), at(op[2]), op[3]]).toEqual([4, offsetOf('x'), offsetOf('y'), 0]);
    expect([...op.slice(4, 7), at(op[7]), ...op.slice(8, 11), at(op[11])]).toEqual([12, 8, 256, 0, 12, 8, 256, 0]);
  });

  it('writes rope-kv-write and attention', () => {
    const shape = { kCache: 'k cache', vCache: 'v cache', heads: 4, kvHeads: 2, headDim: 16 };
    const { words, at, f32 } = decode([
      {
        kind: 'rope-kv-write',
        q: 'q',
        k: 'k',
        v: 'v',
        table: 'rope',
        qNorm: 'head norm',
        kNorm: null,
        ropeDim: 8,
        neox: true,
        eps: 1e-6,
        ...shape,
      },
      { kind: 'attention', q: 'q', out: 'out', scale: 0.25, window: 7, ...shape },
    ]);
    const [rope, attention] = words;
    expect(rope[0]).toBe(5);
    expect(rope.slice(1, 9).map(at)).toEqual([
      ...['q', 'k', 'v', 'k cache', 'v cache', 'rope', 'head norm'].map(offsetOf),
      null,
    ]);
    expect([...rope.slice(9, 14), f32(rope[14])]).toEqual([4, 2, 16, 8, 1, Math.fround(1e-6)]);
    expect(attention[0]).toBe(6);
    expect(attention.slice(1, 5).map(at)).toEqual(['q', 'k cache', 'v cache', 'out'].map(offsetOf));
    expect([...attention.slice(5, 8), f32(attention[8]), attention[9]]).toEqual([4, 2, 16, 0.25, 7]);
  });

  it('writes top-k', () => {
    const { words, at } = decode([{ kind: 'top-k', input: 'x', out: 'out', width: 100, k: 5 }]);
    expect([words[0][0], at(words[0][1]), at(words[0][2]), words[0][3], words[0][4]]).toEqual([
      ...[7, offsetOf('x'), offsetOf('out')],
      ...[100, 5],
    ]);
  });

  it('refuses what does not fit its bindings or 32 bits', () => {
    const internal = expect.objectContaining({ name: 'NtxError', code: 'internal' });
    const refused = (op: Op, within = bindings) => {
      let thrown: unknown;
      try {
        encodeOps([op], within);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toEqual(internal);
    };
    refused({ ...embed, out: 'nowhere' });
    refused({ ...norm, width: 128 });
    refused({
      kind: 'attention',
      q: 'q',
      kCache: 'k cache',
      vCache: 'v cache',
      out: 'out',
      heads: 4,
      kvHeads: 2,
      headDim: 16,
      scale: 1,
      window: 2 ** 32,
    });
    refused(embed, { ...bindings, sizes: { ...bindings.sizes, slots: 2 ** 32 } });
  });
});
