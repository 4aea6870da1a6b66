// What the planner answers beside the plan: why this one.
import type { Plan, Resource } from './plan.js';

/** One thing that a resource does in the simulated pass. */
export interface TimelineEvent {
  readonly resource: Exclude<Resource, 'host-memory'>;
  /** Index into `PlanRequest.drives` for `disk`, else 0. */
  readonly lane: number;
  /** Index into the model's units; null for what a pass takes beside its units. */
  readonly unit: number | null;
  /** Seconds since the pass began; below 0 for what was prefetched during the pass before. */
  readonly begin: number;
  readonly end: number;
}

/** A placement of another kind and what it would have come to. */
export interface Alternative {
  readonly kind:
    | 'stream-all' /* units out of VRAM are streamed, none is computed by the CPU */
    | 'compute-all' /* what is out of VRAM and the CPU can compute, it computes in passes of the class of most weight */
    | 'first-layers-resident' /* as many first units as fit are resident, the rest is streamed: not strided */;
  /** Seconds of a pass of each class; null: it does not fit the budgets. */
  readonly seconds: readonly number[] | null;
}

/** Bytes that the plan takes of each budget. */
export interface MemoryUse {
  /** Units of tier `device`. */
  readonly device: number;
  readonly slots: number;
  /** Units of `host-copy` and `host-compute`. */
  readonly host: number;
  readonly staging: number;
}

export interface PlanAnswer {
  readonly plan: Plan;
  /** True when every unit is resident on the device: nothing streams. */
  readonly fitsDevice: boolean;
  readonly use: MemoryUse;
  /**
   * The sum of weight x seconds that was minimized: simulated, in the steady-state model that placements are chosen by, and
   * what no placement with rings of this size can be below in that model, where all slots are as wide as the widest.
   * (steadyState - lowerBound) / lowerBound is how far from optimal it can be.
   */
  readonly objective: { readonly seconds: number; readonly steadyState: number; readonly lowerBound: number };
  readonly refused: readonly Alternative[];
  /** Seconds of a pass of each class with one GiB more of a budget; null where there is no such budget. */
  readonly oneMoreGiB: { readonly device: readonly number[] | null; readonly host: readonly number[] };
  /** One simulated pass in steady state for each class, in the order of `plan.schedules`. */
  readonly timelines: readonly (readonly TimelineEvent[])[];
}
