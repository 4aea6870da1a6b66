// What a kernel case is made of. Nothing here knows a backend: the reference, CPU, WebGPU and CUDA run the same list.
import type { PassSizes } from '../../src/backend/backend.js';
import type { Op } from '../../src/backend/ops.js';
import type { TestWeight } from './weights.js';

export interface KernelCase {
  readonly name: string;
  readonly kind: Op['kind'] | 'sequence';
  /** Types of the matrices, for tests that pick cases. */
  readonly types: readonly string[];
  build(): Setup;
}

export interface Setup {
  readonly ops: readonly Op[];
  readonly sizes: PassSizes;
  readonly weights: Readonly<Record<string, TestWeight>>;
  readonly buffers: Readonly<Record<string, TestBuffer>>;
  /** Submitted one after another, without waiting, from one step buffer. */
  readonly passes: readonly Pass[];
}

export interface TestBuffer {
  /** What tolerances count: words of f32 (or u32) or f16. */
  readonly element: 'f32' | 'f16';
  /** Contents before the first pass. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface Row {
  readonly token: number;
  readonly position: number;
  readonly slot: number;
}

export interface Pass {
  readonly rows: readonly Row[];
  readonly outputs: readonly { readonly row: number; readonly target: number | null }[];
}

/** A NaN that no computation gives; as f16 codes, bytes and indices it is nonsense too. */
export const POISON = 0x7fc5a5a5;

export function floats(values: Float32Array<ArrayBuffer>): TestBuffer {
  return { element: 'f32', bytes: new Uint8Array(values.buffer) };
}

export function halves(codes: Uint16Array<ArrayBuffer>): TestBuffer {
  return { element: 'f16', bytes: new Uint8Array(codes.buffer) };
}

/** An output before anything was written. */
export function poisoned(words: number): TestBuffer {
  return { element: 'f32', bytes: new Uint8Array(new Uint32Array(words).fill(POISON).buffer) };
}

/** Rows whose positions do not matter. */
export function plainPass(rows: number): Pass {
  return { rows: Array.from({ length: rows }, (_, r) => ({ token: 0, position: r, slot: 0 })), outputs: [] };
}
