// Ranges of memory as bindings: they start at multiples of the device's alignment and end within its limit.
import { NtxError } from '../../../errors.js';
import { typeBytes } from '../../../gguf/types.js';
import type { BoundWeight, DeviceRange } from '../../backend.js';
import type { DeviceFacts } from '../kernel.js';
import { ADDRESSABLE } from '../memory.js';

function mostBytes({ maxStorageBufferBindingSize: limit }: GPUSupportedLimits): number {
  return Math.min(limit, ADDRESSABLE);
}

/** One range that can be bound, with where the ranges in it start, in bytes from its own start. */
export interface Cover {
  readonly range: DeviceRange;
  readonly offsets: readonly number[];
}

/** The least range that can be bound and holds all of `ranges`, which are of one memory. */
export function cover(ranges: readonly DeviceRange[], { limits }: DeviceFacts): Cover {
  const alignment = limits.minStorageBufferOffsetAlignment;
  const first = Math.min(...ranges.map(({ offset }) => offset));
  const end = Math.max(...ranges.map(({ offset, bytes }) => offset + bytes));
  const start = Math.floor(first / alignment) * alignment;
  return {
    range: { memory: ranges[0].memory, offset: start, bytes: end - start },
    offsets: ranges.map(({ offset }) => offset - start),
  };
}

/** The ranges can share a binding. */
export function canCover(ranges: readonly DeviceRange[], facts: DeviceFacts): boolean {
  return (
    ranges.every(({ memory }) => memory === ranges[0].memory) &&
    cover(ranges, facts).range.bytes <= mostBytes(facts.limits)
  );
}

/**
 * [first, count] of the ranges of a matrix's rows that a binding can hold each: one, where it holds the whole. Counts are
 * multiples of `multiple`.
 */
export function rowsThatFit(weight: BoundWeight, multiple: number, { limits }: DeviceFacts): [number, number][] {
  const { rows, cols, type, range } = weight;
  const rowBytes = typeBytes(type, cols);
  const limit = mostBytes(limits) - limits.minStorageBufferOffsetAlignment;
  const most = Math.floor(limit / rowBytes / multiple) * multiple;
  if (most < 1) {
    throw new NtxError(
      'unsupported',
      `${range.memory.label}: a row of ${rowBytes} bytes exceeds the device's bindings of ${limit}`,
      'choose another --adapter or --backend cpu',
    );
  }
  const ranges: [number, number][] = [];
  for (let first = 0; first < rows; first += most) ranges.push([first, Math.min(most, rows - first)]);
  return ranges;
}
