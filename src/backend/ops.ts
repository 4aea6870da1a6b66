// The closed list of ops. An op is a plain record that names its activations, caches and weights; a backend resolves the
// names through Bindings when it records a list. native/ops.h holds the same list in binary form, with each op's formula.

/** out[r] = decode(table[token[r]]) */
export interface EmbedOp {
  readonly kind: 'embed';
  readonly table: string;
  readonly out: string;
}

/** out[r] = input[r] / sqrt(mean(input[r]^2) + eps) * weight; with `selectOutputs` r runs over the step's outputs. */
export interface RmsNormOp {
  readonly kind: 'rms-norm';
  readonly input: string;
  readonly weight: string;
  readonly out: string;
  readonly width: number;
  readonly eps: number;
  readonly selectOutputs: boolean;
}

export interface MatmulPart {
  readonly weight: string;
  readonly bias: string | null;
  readonly out: string;
}

/**
 * out[r][n] (+)= sum_k input[r][k] * weight[n][k] + bias[n], for up to three matrices over one input. `accumulate` adds to
 * what out holds (the residual); `outputs` makes the rows the step's outputs.
 */
export interface MatmulOp {
  readonly kind: 'matmul';
  readonly input: string;
  readonly parts: readonly MatmulPart[];
  readonly accumulate: boolean;
  readonly outputs: boolean;
}

/** out[r][n] = silu(input[r] . gate[n]) * (input[r] . up[n]) */
export interface GatedMatmulOp {
  readonly kind: 'gated-matmul';
  readonly input: string;
  readonly gate: string;
  readonly up: string;
  readonly out: string;
  readonly activation: 'silu';
}

/**
 * RMS norm of each q and k head where norms are given, rotation of the first `ropeDim` values of each head by
 * table[position] (f32 [context][ropeDim / 2][cos, sin]), then k and v into the caches as f16
 * [slot][kv head][position][headDim]. `neox`: pairs are (i, i + ropeDim / 2), else (2i, 2i + 1). q stays, rotated.
 */
export interface RopeKvWriteOp {
  readonly kind: 'rope-kv-write';
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly kCache: string;
  readonly vCache: string;
  readonly table: string;
  readonly qNorm: string | null;
  readonly kNorm: string | null;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ropeDim: number;
  readonly neox: boolean;
  readonly eps: number;
}

/** Causal attention of each row to its own slot, positions up to its own; `window` > 0 limits it to that many. */
export interface AttentionOp {
  readonly kind: 'attention';
  readonly q: string;
  readonly kCache: string;
  readonly vCache: string;
  readonly out: string;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly window: number;
}

/** For each output the `k` largest logits with the log-sum-exp of all `width` (src/backend/outputs.ts has the layout). */
export interface TopKOp {
  readonly kind: 'top-k';
  readonly input: string;
  readonly out: string;
  readonly width: number;
  readonly k: number;
}

export type Op = EmbedOp | RmsNormOp | MatmulOp | GatedMatmulOp | RopeKvWriteOp | AttentionOp | TopKOp;
