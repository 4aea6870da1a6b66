// What an op becomes on this backend: dispatches, chosen by the number of rows of the pass. An op's file
// (src/backend/webgpu/kernels/<op>.ts) plans it from shapes and device facts alone; record.ts makes pipelines and bind
// groups of the plan once; submit only encodes.
import type { DeviceRange } from '../backend.js';

/** What kernels may depend on. Read from the adapter, never assumed. */
export interface DeviceFacts {
  readonly limits: GPUSupportedLimits;
  readonly subgroups: boolean;
  /** Equal where the size is fixed (32 on NVIDIA, 8 on lavapipe); both 0 without subgroups. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** WGSL language feature packed_4x8_integer_dot_product. */
  readonly packedDot: boolean;
  readonly vendor: string;
}

/** Ranges of one memory that a dispatch binds must all have the same access: WebGPU tracks use by buffer. */
export interface Binding {
  readonly range: DeviceRange;
  readonly access: 'read' | 'read-write';
}

/**
 * What one number of group 0 is bound to: a range, one of the recorder's own buffers, or nothing (null: the shader does not
 * declare the number).
 * - `step`: `var<storage, read> step: array<u32>`, the words of StepBuffer
 * - `counts`: `var<uniform> counts: vec4<u32>` = (rows, outputs, 0, 0), which takes none of the storage bindings
 * - `scratch`, `scratch-read`: `var<storage, read_write>` and `var<storage, read>` of the plan's scratchBytes
 * - `embedded`: `var<storage, read> array<u32>`, the bytes of the pass's embedding rows (embed alone)
 */
export type BindingSlot = Binding | 'step' | 'counts' | 'scratch' | 'scratch-read' | 'embedded' | null;

/** One compute dispatch. Bindings are numbered in their order, group 0. */
export interface Dispatch {
  /** Shown by `ntx bench --ops` and in errors: op, types and shape. */
  readonly label: string;
  readonly code: string;
  /** Values of `override` declarations. */
  readonly constants: Readonly<Record<string, number>>;
  readonly bindings: readonly BindingSlot[];
  /**
   * Workgroups for this many rows (outputs where the op runs over outputs) at positions below `positions`, which is rounded
   * up; a zero skips the dispatch.
   */
  groups(rows: number, positions: number): readonly [number, number, number];
  /** Bytes of weights that it reads, for GB/s figures. */
  readonly weightBytes: number;
}

/** How one op runs for up to `maxRows` rows; an op's variants come in ascending order and the last covers the maximum. */
export interface Variant {
  readonly maxRows: number;
  readonly dispatches: readonly Dispatch[];
}

/** A recorded op: one variant runs in each pass. */
export interface KernelPlan {
  readonly over: 'rows' | 'outputs';
  readonly variants: readonly Variant[];
  /** Bytes of scratch that the dispatches share, at most; the recorder allocates the largest of a list once. */
  readonly scratchBytes: number;
}
