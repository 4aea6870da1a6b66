// The parts of the cuda backend that need no device: sentences of refusals, which norms are fused, promises of tickets.
import { describe, expect, it } from 'vitest';
import type { Bindings, DeviceRange } from '../../src/backend/backend.js';
import type { DriverFacts } from '../../src/backend/cuda/binding.js';
import { driverProblem, noKernels } from '../../src/backend/cuda/choose-device.js';
import { asNtxError, deviceFailure } from '../../src/backend/cuda/errors.js';
import { fusedOps } from '../../src/backend/cuda/fusion.js';
import { labelOf, weightBytesOf } from '../../src/backend/cuda/labels.js';
import { Tickets } from '../../src/backend/cuda/tickets.js';
import type { Op, RmsNormOp } from '../../src/backend/ops.js';
import type { GgmlType } from '../../src/gguf/types.js';

const H100 = { name: 'NVIDIA H100', major: 9, minor: 0, multiprocessors: 132, memoryBytes: 2 ** 36, integrated: false };
const FACTS: DriverFacts = {
  driver: 13000,
  runtime: 13000,
  problem: null,
  architectures: '80-real,120-real,120-virtual',
  devices: [H100],
};

describe('refusals', () => {
  it.each<[string, Partial<DriverFacts>, RegExp]>([
    ['no driver', { driver: 0, problem: 'cudaErrorInsufficientDriver' }, /there is no NVIDIA driver/],
    ['an old driver', { driver: 12040, problem: 'cudaErrorInsufficientDriver' }, /serves CUDA 12\.4, 13\.0 is needed/],
    ['no device', { problem: 'cudaErrorNoDevice', devices: [] }, /has no device/],
    ['a driver that fails', { problem: 'cudaErrorSystemNotReady', devices: [] }, /cudaErrorSystemNotReady/],
  ])('%s', (_, facts, sentence) => {
    const problem = driverProblem({ ...FACTS, ...facts });
    expect(problem).toMatchObject({ code: 'no-backend', message: expect.stringMatching(sentence) });
    expect(problem?.advice).toMatch(/--backend/);
  });

  it('names what was found and what was built', () => {
    expect(driverProblem(FACTS)).toBeNull();
    expect(noKernels(FACTS).message).toMatch(/found NVIDIA H100 \(sm_90\), built for sm_80, sm_120, sm_120 and later/);
  });

  it('has advice for errors with causes outside', () => {
    expect(deviceFailure('x failed at y:1: timed out (cudaErrorLaunchTimeout)').advice).toMatch(/without a display/);
    expect(deviceFailure('x failed at y:1: (cudaErrorIllegalAddress)').advice).toMatch(/report this/);
    const lacking = Object.assign(new Error('expected 5 bytes'), { code: 'no-memory' });
    expect(asNtxError(lacking, 'allocating weights')).toMatchObject({
      code: 'no-memory',
      message: 'allocating weights: expected 5 bytes',
    });
  });
});

const memory = { bytes: 1 << 20, label: 'memory', free: () => {} };
const range = (offset: number): DeviceRange => ({ memory, offset, bytes: 4096 });

function bindingsOf(type: GgmlType): Bindings {
  const matrix = { type, rows: 8, cols: 256, range: range(0) };
  return {
    weights: new Map(['a', 'b'].map((name) => [name, matrix])),
    buffers: new Map(['x', 'normed', 'out', 'other'].map((name, i) => [name, range(8192 * (i + 1))])),
    sizes: { maxRows: 1, maxOutputs: 1, slots: 1, context: 1 },
  };
}

const norm: RmsNormOp = {
  kind: 'rms-norm',
  ...{ input: 'x', weight: 'w', out: 'normed', width: 256, eps: 1e-5, selectOutputs: false },
};
const product = (input = 'normed'): Op => ({
  kind: 'matmul',
  ...{ input, parts: [{ weight: 'a', bias: null, out: 'out' }], accumulate: false, outputs: false },
});
const gated: Op = { kind: 'gated-matmul', input: 'normed', gate: 'a', up: 'b', out: 'out', activation: 'silu' };

describe('fused norms', () => {
  it.each<[string, readonly Op[], readonly number[]]>([
    ['in front of their only readers', [norm, product(), norm, gated], [0, 2]],
    ['not when another op stands between', [norm, product('x'), product()], []],
    ['not when a later op reads the result too', [norm, product(), product()], []],
    ['not when the next pass reads it first', [product(), norm, product()], []],
    ['not of selected rows', [{ ...norm, selectOutputs: true }, product()], []],
    ['not when nothing follows', [norm], []],
  ])('%s', (_, ops, expected) => {
    expect(fusedOps(ops, bindingsOf('Q4_K'))).toEqual(expected);
  });

  const heads = { kCache: 'kc', vCache: 'vc', heads: 2, kvHeads: 1, headDim: 64 };
  const project: Op = { ...product('other'), parts: [{ weight: 'a', bias: null, out: 'x' }] } as Op;
  const rope: Op = {
    kind: 'rope-kv-write',
    ...{ q: 'x', k: 'k', v: 'v', ...heads, table: 't', qNorm: null, kNorm: null, ropeDim: 64, neox: false, eps: 0 },
  };
  const attention: Op = { kind: 'attention', q: 'x', ...heads, out: 'out', scale: 1, window: 0 };

  it.each<[string, readonly Op[], readonly number[]]>([
    ['in front of their attention', [project, rope, attention, project, rope, attention], [1, 4]],
    ['not when q is rotated twice', [project, rope, attention, rope, attention], []],
    ['not of other heads', [project, rope, { ...attention, headDim: 128 }], []],
    ['not when q is read by another op', [project, rope, attention, product('x')], []],
    ['not when q is read before it is written anew', [attention, project, rope, attention], []],
  ])('rotations %s', (_, ops, expected) => {
    const bindings = bindingsOf('Q4_K');
    const buffers = new Map([
      ...bindings.buffers,
      ...['k', 'v', 'kc', 'vc', 't'].map((name, i) => [name, range(2 ** 17 + 8192 * i)] as const),
    ]);
    expect(fusedOps(ops, { ...bindings, buffers })).toEqual(expected);
  });

  it('not in front of weights that take activations as they are', () => {
    for (const type of ['F32', 'F16', 'BF16'] as const)
      expect(fusedOps([norm, product()], bindingsOf(type))).toEqual([]);
  });

  it('not when a reader sees the same bytes under another name', () => {
    const bindings = bindingsOf('Q8_0');
    const buffers = new Map([...bindings.buffers, ['other', { memory, offset: 8192 * 2 + 32, bytes: 64 }]]);
    expect(fusedOps([norm, product(), product('other')], { ...bindings, buffers })).toEqual([]);
  });
});

describe('labels', () => {
  it('name op, types and shape, and count bytes', () => {
    const bindings = bindingsOf('Q4_K');
    expect(labelOf(gated, bindings)).toBe('gated-matmul Q4_K 8+8 x 256');
    expect(weightBytesOf(gated, bindings)).toBe(2 * 8 * 144);
    expect(labelOf(norm, bindings)).toBe('rms-norm 256');
    expect(weightBytesOf(norm, bindings)).toBe(0);
  });
});

describe('tickets', () => {
  const make = () => {
    const watched: [number, number][] = [];
    return { watched, tickets: new Tickets({ watch: (stream, ticket) => watched.push([stream, ticket]) }) };
  };

  it('resolve in their streams, and at once when they have completed', async () => {
    const { tickets, watched } = make();
    const done: string[] = [];
    const waits = [
      tickets.wait(0, 2).then(() => done.push('compute 2')),
      tickets.wait(1, 1).then(() => done.push('copy 1')),
      tickets.wait(0, 1).then(() => done.push('compute 1')),
    ];
    expect(watched).toEqual([
      [0, 2],
      [1, 1],
      [0, 1],
    ]);
    tickets.complete(1, 0, null);
    await waits[2];
    expect(done).toEqual(['compute 1']);
    tickets.complete(2, 5, null);
    await Promise.all(waits);
    await tickets.wait(1, 5);
    expect(watched).toHaveLength(3);
  });

  it('reject what has not completed when the device fails, and everything afterwards', async () => {
    const { tickets } = make();
    const first = tickets.wait(0, 1);
    const second = tickets.wait(0, 2);
    tickets.complete(1, 0, deviceFailure('gone'));
    await first;
    await expect(second).rejects.toThrow('gone');
    await expect(tickets.wait(1, 1)).rejects.toThrow('gone');
    expect(tickets.failure?.message).toContain('gone');
  });
});
