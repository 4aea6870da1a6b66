// The nouns of a model (docs/architecture.md): what is placed, what is always resident, what a pass runs.
import type { Op } from '../backend/ops.js';
import type { TensorInfo } from '../gguf/types.js';
import type { ModelConfig } from './config.js';

/** The piece that is placed and moved: a layer's attention weights, its feed-forward weights, or the output head. */
export interface Unit {
  /** "layer 3 attention", "layer 3 feed-forward", "output" */
  readonly name: string;
  /** The matrices that move with it. */
  readonly tensors: readonly TensorInfo[];
  readonly bytes: number;
  readonly ops: readonly Op[];
}

const FEED_FORWARD: readonly Op['kind'][] = ['rms-norm', 'gated-matmul', 'matmul'];

/**
 * Whether a unit reads and changes nothing but the hidden states: those of a pass to the host and back are all that another
 * processor needs to compute it. Attention needs the KV cache, which stays on the device.
 */
export function isFeedForward({ ops }: Pick<Unit, 'ops'>): boolean {
  return ops.length === FEED_FORWARD.length && ops.every(({ kind }, index) => kind === FEED_FORWARD[index]);
}

/** An activation, cache or result buffer that ops name. */
export interface BufferSpec {
  readonly name: string;
  /** Bytes of one item. */
  readonly itemBytes: number;
  /** What it has an item of: every row or output of a pass, every position, or every position of every slot. */
  readonly per: 'row' | 'output' | 'position' | 'slot-position';
}

/** A model as data: what its passes compute, over which tensors. */
export interface Model {
  readonly config: ModelConfig;
  /** Read row by row, from host memory as a rule. */
  readonly embedding: TensorInfo;
  /** Norms and biases, F32, always resident. */
  readonly small: readonly TensorInfo[];
  /** Before the first unit. */
  readonly prologue: readonly Op[];
  readonly units: readonly Unit[];
  readonly buffers: readonly BufferSpec[];
}

/** The output head is the embedding. */
export function isTied({ embedding, units }: Pick<Model, 'embedding' | 'units'>): boolean {
  return units.some(({ tensors }) => tensors.includes(embedding));
}

/** Names of the buffers that are not an op's private matter. */
export const OUTPUTS = 'outputs';
export const ROPE_TABLE = 'rope-table';
