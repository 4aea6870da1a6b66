// What the planner answers and the streamer executes: where every unit's bytes live, and in which order they move.

/**
 * - `device`: resident.
 * - `host-copy`: in pinned RAM, copied ahead into a slot.
 * - `host-compute`: in pinned RAM, computed there by the CPU kernels.
 * - `disk`: read ahead into host staging, then copied into a slot.
 */
export type Tier = 'device' | 'host-copy' | 'host-compute' | 'disk';

/** What can bind a pass. Host memory is what CPU kernels, copies and disk reads share. */
export type Resource = 'compute' | 'link' | 'disk' | 'cpu' | 'host-memory';

/** One read of a file, aligned for O_DIRECT unless it ends the file. */
export interface Extent {
  /** Index into the model's files. */
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  /** Where its bytes go in the staging buffer. */
  readonly at: number;
}

/** A unit on its way into a slot. */
export interface Transfer {
  /** Index into the model's units. */
  readonly unit: number;
  /** Index into `Plan.slots`; null where kernels use the staging buffer itself (a backend whose host is the device). */
  readonly slot: number | null;
  /** Index into `Plan.staging`; null for a unit of `host-copy`. */
  readonly staging: number | null;
  /** What is read into the staging buffer, in the order of need; none for a unit of `host-copy`. */
  readonly extents: readonly Extent[];
}

/** Predicted seconds of one pass in steady state, with the binding resource. */
export interface Prediction {
  readonly seconds: number;
  readonly bound: Resource;
  /** Seconds that each resource works during a pass. */
  readonly busy: Readonly<Record<Resource, number>>;
}

/** How passes of up to `maxRows` rows run over the one placement of bytes. */
export interface Schedule {
  readonly maxRows: number;
  /**
   * In the order in which the pass uses them. A slot's (a staging buffer's) bytes may be overwritten as soon as the unit that
   * had it before has been computed (copied); the first transfers of the next pass follow the last of this one.
   */
  readonly transfers: readonly Transfer[];
  /** Units of `host-compute` that passes of this size compute on the CPU; the others of that tier are transfers. */
  readonly onCpu: readonly number[];
  readonly prediction: Prediction;
}

export interface Plan {
  /** One for each unit of the model. */
  readonly tiers: readonly Tier[];
  /** Bytes of each device slot. */
  readonly slots: readonly number[];
  /** Bytes of each host staging buffer. */
  readonly staging: readonly number[];
  /** By ascending `maxRows`; the last takes every pass. */
  readonly schedules: readonly Schedule[];
}
