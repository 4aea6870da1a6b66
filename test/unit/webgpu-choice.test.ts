// Which kernels the webgpu backend takes, on devices that are not here.
import { describe, expect, it } from 'vitest';
import type { DeviceMemory } from '../../src/backend/backend.js';
import { canHandOn } from '../../src/backend/webgpu/flow.js';
import type { DeviceFacts } from '../../src/backend/webgpu/kernel.js';
import { chooseProducts } from '../../src/backend/webgpu/kernels/product-choice.js';
import { canCover, rowsThatFit } from '../../src/backend/webgpu/kernels/product-ranges.js';
import { tableBytes } from '../../src/backend/webgpu/memory.js';
import { wgsl } from '../../src/backend/webgpu/wgsl.js';

/** A device with the default limits of WebGPU, but for these. */
function device(limits: Partial<GPUSupportedLimits> = {}, lanes: readonly [number, number] = [0, 0]): DeviceFacts {
  return {
    limits: {
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupSizeX: 256,
      maxComputeWorkgroupStorageSize: 16 << 10,
      maxStorageBufferBindingSize: 128 << 20,
      minStorageBufferOffsetAlignment: 256,
      ...limits,
    } as GPUSupportedLimits,
    subgroups: lanes[1] > 0,
    subgroupMinSize: lanes[0],
    subgroupMaxSize: lanes[1],
    packedDot: true,
    vendor: 'somebody',
  };
}

const large = {
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
  maxComputeWorkgroupStorageSize: 32 << 10,
};
const DEVICES: readonly (readonly [string, DeviceFacts])[] = [
  ['default limits', device()],
  ['large workgroups', device(large)],
  ['subgroups of many sizes', device(large, [8, 32])],
  ['subgroups of 32', device(large, [32, 32])],
  ['subgroups of 32 in small workgroups', device({}, [32, 32])],
  ['subgroups of 64', device(large, [64, 64])],
  ['subgroups of 128', device(large, [128, 128])],
];

describe.each(DEVICES)('products on a device with %s', (_, facts) => {
  it('fit into its workgroups, whatever their shape', () => {
    const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = facts.limits;
    for (const type of ['F32', 'F16', 'Q4_K', 'Q8_0'] as const) {
      for (const rows of [1, 32, 128, 512, 4096, 2 ** 18]) {
        for (const cols of [32, 1024, 8192, 65536].filter((count) => type !== 'Q4_K' || count % 256 === 0)) {
          for (const gated of [false, true]) {
            const inBlocks = canHandOn(facts) && rows % 32 === 0;
            for (const { choice } of chooseProducts({ type, cols, rows, gated, inBlocks }, 64, facts)) {
              if (choice.family !== 'vector') continue;
              const { threads, subgroup, columns, tiles, lanes, split } = choice;
              const bytes = (threads / subgroup) * columns * tiles * lanes * 4 + (inBlocks ? 32 * columns * 8 : 0);
              const shape = `${type} ${rows} x ${cols}, gated ${gated}, ${columns} columns`;
              expect(bytes, shape).toBeLessThanOrEqual(maxComputeWorkgroupStorageSize);
              expect(threads, shape).toBeLessThanOrEqual(maxComputeInvocationsPerWorkgroup);
              expect(threads % split, shape).toBe(0);
              expect(split % subgroup, shape).toBe(0);
            }
          }
        }
      }
    }
  });
});

it('says so where a type has no text yet', () => {
  expect(() => wgsl('quant/words', 'quant/q9_9')).toThrow(
    expect.objectContaining({ code: 'unsupported', message: expect.stringContaining('quant/q9_9.wgsl') }),
  );
});

describe('matrices in bindings', () => {
  const memory: DeviceMemory = { bytes: 2 ** 36, label: 'memory', free: () => {} };
  const weight = (rows: number) => ({
    type: 'Q8_0' as const,
    rows,
    cols: 8192,
    range: { memory, offset: 0, bytes: rows * 8704 },
  });

  it('are cut into ranges of rows that cover each row once', () => {
    const ranges = rowsThatFit(weight(100_000), 1, device());
    let next = 0;
    for (const [first, count] of ranges) {
      expect(first).toBe(next);
      expect(count * 8704).toBeLessThanOrEqual((128 << 20) - 256);
      next += count;
    }
    expect(next).toBe(100_000);
    expect(rowsThatFit(weight(100), 1, device())).toEqual([[0, 100]]);
  });

  it('stay below 4 GiB on devices that bind more: kernels count bytes in 32 bits', () => {
    const facts = device({ maxStorageBufferBindingSize: 2 ** 35 });
    const { range } = weight(2 ** 20);
    expect(rowsThatFit(weight(2 ** 20), 1, facts).every(([, count]) => count * 8704 < 2 ** 32)).toBe(true);
    expect(canCover([range], facts)).toBe(false);
    expect(canCover([{ ...range, bytes: 2 ** 31 }], facts)).toBe(true);
  });
});

it('a table that embed reads is one memory and one binding, and its places are counted in 32 bits', () => {
  const most = (maxBufferSize: number, maxStorageBufferBindingSize: number) =>
    tableBytes({ maxBufferSize, maxStorageBufferBindingSize } as GPUSupportedLimits);
  expect(most(2 ** 32, 2 ** 27)).toBe(2 ** 27);
  expect(most(2 ** 40, 2 ** 40)).toBe(2 ** 32 - 2 ** 16);
  // Behind what is allocated some bytes are left, and tensors are placed in steps.
  expect(most(2 ** 31, 2 ** 31)).toBe(2 ** 31 - 256);
});
