import { NtxError } from '../errors.js';
import { getNumber, getNumberArray, getNumberOr, getString } from '../gguf/metadata.js';
import type { GgufModel } from '../gguf/types.js';

/** How positions become angles. */
export interface RopeConfig {
  /** theta of the original paper (arXiv 2104.09864): angle_i = position * base^(-2i / dim). */
  readonly base: number;
  /** Values of each head that rotate. */
  readonly dim: number;
  readonly scaling: RopeScaling;
  /** Divides the frequency of each pair (Llama 3.1's rope_freqs.weight), [dim / 2]. */
  readonly factors: Float32Array | null;
}

export type RopeScaling =
  | { readonly type: 'none' }
  /** Positions are divided by `factor` (arXiv 2306.15595). */
  | { readonly type: 'linear'; readonly factor: number }
  /** arXiv 2309.00071. */
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly originalContext: number;
      readonly attentionFactor: number;
    };

/** The numbers of a model, read from metadata `<architecture>.*` and checked. */
export interface ModelConfig {
  readonly architecture: string;
  readonly name: string;
  readonly layers: number;
  /** Values of the residual stream (embedding_length). */
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffnWidth: number;
  readonly vocabulary: number;
  /** Positions that the model was trained for. */
  readonly trainedContext: number;
  readonly normEps: number;
  readonly attentionScale: number;
  /** Positions that a row may look back on, itself included; 0: all. */
  readonly window: number;
  readonly rope: RopeConfig;
}

/** Kernels count positions in 32 bits. */
const MOST_POSITIONS = 2 ** 31 - 1;

/** Reads `<architecture>.*`. Throws NtxError('bad-file' or 'unsupported') naming the key. `ropeFactors` come from a tensor. */
export function readConfig(model: GgufModel, ropeFactors: Float32Array | null): ModelConfig {
  const architecture = getString(model, 'general.architecture');
  const key = (name: string) => `${architecture}.${name}`;
  const count = (name: string, limit: number, fallback?: number) => {
    const value = fallback === undefined ? getNumber(model, key(name)) : getNumberOr(model, key(name), fallback);
    if (!Number.isInteger(value) || value < 1 || value > limit) {
      throw badValue(key(name), `a whole number from 1 to ${limit}`, value);
    }
    return value;
  };
  const width = count('embedding_length', 1 << 20);
  const heads = perLayerCount(model, key('attention.head_count'), null);
  const kvHeads = perLayerCount(model, key('attention.head_count_kv'), heads);
  if (heads % kvHeads !== 0) throw badValue(key('attention.head_count_kv'), `a divisor of ${heads} heads`, kvHeads);
  const headDim = count('attention.key_length', 1024, Math.max(1, Math.floor(width / heads)));
  const valueDim = count('attention.value_length', 1024, headDim);
  if (valueDim !== headDim) throw badValue(key('attention.value_length'), `the key length, ${headDim}`, valueDim);
  refuseExperts(model, architecture);
  const vocabulary = model.tensors.get('token_embd.weight')?.shape[1] ?? count('vocab_size', 1 << 24);
  const scale = getNumberOr(model, key('attention.scale'), 0);
  const trainedContext = count('context_length', MOST_POSITIONS);
  return {
    architecture,
    name: model.metadata.has('general.name') ? getString(model, 'general.name') : architecture,
    layers: count('block_count', 4096),
    width,
    heads,
    kvHeads,
    headDim,
    ffnWidth: count('feed_forward_length', 1 << 22),
    vocabulary,
    trainedContext,
    normEps: positive(
      key('attention.layer_norm_rms_epsilon'),
      getNumber(model, key('attention.layer_norm_rms_epsilon')),
    ),
    attentionScale: scale === 0 ? 1 / Math.sqrt(headDim) : positive(key('attention.scale'), scale),
    window: architecture === 'llama' ? readWindow(model, key('attention.sliding_window')) : 0,
    rope: readRope(model, key, headDim, trainedContext, ropeFactors),
  };
}

function readWindow(model: GgufModel, key: string): number {
  const window = getNumberOr(model, key, 0);
  if (Number.isInteger(window) && window >= 0 && window <= MOST_POSITIONS) return window;
  throw badValue(key, `a whole number from 0 to ${MOST_POSITIONS}`, window);
}

function readRope(
  model: GgufModel,
  key: (name: string) => string,
  headDim: number,
  trainedContext: number,
  factors: Float32Array | null,
): RopeConfig {
  const dim = getNumberOr(model, key('rope.dimension_count'), headDim);
  if (!Number.isInteger(dim) || dim < 2 || dim > headDim || dim % 2 !== 0) {
    throw badValue(key('rope.dimension_count'), `an even number from 2 to the head's ${headDim}`, dim);
  }
  if (factors && factors.length !== dim / 2) {
    throw new NtxError(
      'bad-file',
      `rope_freqs.weight has ${factors.length} values; ${dim} rotated dimensions need ${dim / 2}`,
      'convert the model again with a current converter',
    );
  }
  return {
    base: positive(key('rope.freq_base'), getNumberOr(model, key('rope.freq_base'), 10000)),
    dim,
    scaling: readScaling(model, key, trainedContext),
    factors,
  };
}

function readScaling(model: GgufModel, key: (name: string) => string, trainedContext: number): RopeScaling {
  const legacy = getNumberOr(model, key('rope.scale_linear'), 1);
  const typeKey = key('rope.scaling.type');
  const type = model.metadata.has(typeKey) ? getString(model, typeKey) : legacy === 1 ? 'none' : 'linear';
  if (type === 'none') return { type };
  const factor = positive(key('rope.scaling.factor'), getNumberOr(model, key('rope.scaling.factor'), legacy));
  if (type === 'linear') return { type, factor };
  if (type === 'yarn') {
    const positiveOr = (name: string, fallback: number) => positive(key(name), getNumberOr(model, key(name), fallback));
    // Where a file does not say, llama.cpp takes the model's own context too.
    const originalContext = positiveOr('rope.scaling.original_context_length', trainedContext);
    return { type, factor, originalContext, attentionFactor: positiveOr('rope.scaling.attn_factor', 1) };
  }
  throw new NtxError(
    'unsupported',
    `${typeKey} is "${type}"; ntx knows none, linear and yarn`,
    'use a conversion of the model without this scaling, or a model of another family',
  );
}

function refuseExperts(model: GgufModel, architecture: string): void {
  const experts = getNumberOr(model, `${architecture}.expert_count`, 0);
  if (experts > 0) {
    throw new NtxError(
      'unsupported',
      `the model is a mixture of ${experts} experts; ntx runs dense ${architecture} models`,
      'choose a dense model of the family',
    );
  }
}

/** A head count, which some converters write as an array with one (equal) entry a layer. */
function perLayerCount(model: GgufModel, key: string, fallback: number | null): number {
  const raw = model.metadata.get(key);
  if (raw === undefined && fallback !== null) return fallback;
  const values = Array.isArray(raw) ? getNumberArray(model, key) : [getNumber(model, key)];
  const value = values[0];
  if (values.some((other) => other !== value)) {
    throw new NtxError(
      'unsupported',
      `${key} differs from layer to layer`,
      'choose a model with the same heads in each layer',
    );
  }
  if (!Number.isInteger(value) || value < 1 || value > 65536)
    throw badValue(key, 'a whole number from 1 to 65536', value);
  return value;
}

function positive(key: string, value: number): number {
  if (!(value > 0 && Number.isFinite(value))) throw badValue(key, 'a positive number', value);
  return value;
}

function badValue(key: string, expected: string, received: number): NtxError {
  return new NtxError(
    'bad-file',
    `${key}: expected ${expected}, got ${received}`,
    'the file is damaged or not a model of this kind',
  );
}
