// What the planner is asked. All of it is plain numbers, so that a machine described in a file plans like a measured one.
// Seconds, bytes and bytes per second throughout; bytes and offsets are whole numbers below 2^53.

/** A range of a file that a unit needs: one tensor. */
export interface TensorRange {
  /** Index into `PlanRequest.files`. */
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
}

/** What one pass of a row class spends on a unit. */
export interface UnitWork {
  /** Kernels on the device, its weights being there. */
  readonly deviceSeconds: number;
  /** The CPU kernels alone on the machine; null: the CPU cannot compute this unit. */
  readonly cpuSeconds: number | null;
  /** What stays on the device when the CPU computes the unit (attention over a KV cache in VRAM). */
  readonly deviceSecondsBesideCpu: number;
}

export interface PlanUnit {
  /** Bytes that it takes resident, in a slot, and in pinned RAM: with the padding between its tensors. */
  readonly bytes: number;
  readonly ranges: readonly TensorRange[];
  /** One for each of `PlanRequest.classes`. */
  readonly work: readonly UnitWork[];
}

/** Passes of up to `maxRows` rows, for which `UnitWork` holds. */
export interface RowClass {
  readonly maxRows: number;
  /**
   * How often such passes run, against the other classes; the plan minimizes the sum of weight x seconds. One prompt pass of
   * 512 rows for every 256 tokens is 256 for one row and 1 for 512.
   */
  readonly weight: number;
  /** What a pass takes beside its units: step buffer, embedding, waiting for the result, choosing the token. */
  readonly overheadSeconds: number;
  /** Hidden states to the host and back, for each unit that the CPU computes. */
  readonly handOverSeconds: number;
}

/** Something of fixed size that is always there: KV cache, activations, small tensors, the embedding in RAM. */
export interface Resident {
  /** For a sentence: "the KV cache". */
  readonly name: string;
  readonly bytes: number;
  /** Of these bytes, what each position of the context costs; 0: it does not depend on the context. */
  readonly bytesPerPosition: number;
}

export interface Budget {
  /** After margins. */
  readonly bytes: number;
  readonly residents: readonly Resident[];
}

/** Pinned host memory to device, one copy at a time. */
export interface Link {
  /** Measured, by ascending piece size; rates between two sizes are interpolated, beyond the ends they stay. */
  readonly curve: readonly { readonly pieceBytes: number; readonly bytesPerSecond: number }[];
  /** Added for every copy on top of the curve: waiting for the slot, enqueueing. */
  readonly copySeconds: number;
  /** Copies run beside kernels (CUDA). False: they share one queue and add up (WebGPU). */
  readonly overlapsKernels: boolean;
  /**
   * Copies come out of the very pages that the CPU computes with (CUDA). False: what the CPU computes it computes in passes of
   * every class (WebGPU).
   */
  readonly sharesPages: boolean;
}

export interface Drive {
  /** At the depth and request size that the reader uses. */
  readonly bytesPerSecond: number;
  /** What a request costs the drive beside its bytes at that depth; reads across a gap that costs less are merged. */
  readonly requestSeconds: number;
  /** From issuing a lone request to its first bytes. */
  readonly latencySeconds: number;
  /** Requests in flight. */
  readonly queueDepth: number;
  /** A power of two that offsets and lengths are multiples of, except at the end of a file. */
  readonly alignment: number;
  /** Bytes of one read at most: a multiple of `alignment`. */
  readonly maxBytes: number;
}

export interface PlanFile {
  readonly bytes: number;
  /** Index into `PlanRequest.drives`. */
  readonly drive: number;
}

/** Rates at which host memory is read, in bytes per second. */
export interface HostMemoryRates {
  /** The most that CPU kernels, copies and disk DMA moved together. */
  readonly total: number;
  /** The most that CPU kernels come to while copies run; what they are slower than that by `cpuSeconds`, they are there too. */
  readonly cpuBesideLink: number;
  /** Copies while CPU kernels compute. */
  readonly linkBesideCpu: number;
}

export interface PlanRequest {
  /** In the order of the pass. */
  readonly units: readonly PlanUnit[];
  /** By ascending `maxRows`. */
  readonly classes: readonly RowClass[];
  readonly files: readonly PlanFile[];
  readonly drives: readonly Drive[];
  /** VRAM; null where the host is the device (cpu): then `host` holds everything and the tiers are `device` and `disk`. */
  readonly device: Budget | null;
  readonly host: Budget;
  /** Null exactly where `device` is. */
  readonly link: Link | null;
  readonly hostMemory: HostMemoryRates;
  /** Positions that the residents were sized for. */
  readonly context: number;
  /** Fixes the size of rings instead of letting the planner choose. */
  readonly rings?: { readonly slots?: number | undefined; readonly staging?: number | undefined } | undefined;
}
