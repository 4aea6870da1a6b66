// The dense pre-norm transformer that llama, qwen2 and qwen3 share, as units of ops.

import type { MatmulPart, Op } from '../backend/ops.js';
import { CANDIDATES, outputBytes } from '../backend/outputs.js';
import type { GgufModel, TensorInfo } from '../gguf/types.js';
import type { ModelConfig } from './config.js';
import { TensorPicker } from './tensor-picker.js';
import { type BufferSpec, type Model, OUTPUTS, ROPE_TABLE, type Unit } from './unit.js';

/** What tells one architecture of the family from another. */
export interface TransformerTraits {
  /** Rotation pairs: (i, i + dim / 2) when true, (2i, 2i + 1) when false. */
  readonly neox: boolean;
  /** Biases on q, k and v: always there, allowed, or not part of the architecture. */
  readonly qkvBias: 'required' | 'optional' | 'none';
  /** RMS norm of each q and k head before rotation. */
  readonly qkNorm: boolean;
}

/** Builds the model of `config`. Throws NtxError('bad-file') for a missing, misshapen or unknown tensor. */
export function buildTransformer(gguf: GgufModel, config: ModelConfig, traits: TransformerTraits): Model {
  const pick = new TensorPicker(gguf);
  const embedding = pick.matrix('token_embd.weight', config.vocabulary, config.width);
  const units: Unit[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    units.push(attentionUnit(pick, config, traits, layer), feedForwardUnit(pick, config, layer));
  }
  units.push(outputUnit(pick, config, embedding));
  pick.refuseLeftovers(config.architecture);
  return {
    config,
    embedding,
    small: pick.vectors,
    prologue: [{ kind: 'embed', table: embedding.name, out: 'x' }],
    units,
    buffers: buffersOf(config),
  };
}

function attentionUnit(pick: TensorPicker, config: ModelConfig, traits: TransformerTraits, layer: number): Unit {
  const { width, heads, kvHeads, headDim } = config;
  const tensor = (name: string) => `blk.${layer}.${name}`;
  const tensors: TensorInfo[] = [];
  const project = (name: 'q' | 'k' | 'v', rows: number): MatmulPart => {
    const weight = pick.matrix(tensor(`attn_${name}.weight`), rows, width);
    tensors.push(weight);
    return { weight: weight.name, bias: pick.bias(tensor(`attn_${name}.bias`), rows, traits.qkvBias), out: name };
  };
  const norm = pick.vector(tensor('attn_norm.weight'), width);
  const parts = [project('q', heads * headDim), project('k', kvHeads * headDim), project('v', kvHeads * headDim)];
  const output = pick.matrix(tensor('attn_output.weight'), width, heads * headDim);
  tensors.push(output);
  // Llama's attention_bias setting puts one on every projection; Qwen 2 has none on the last.
  const outputBias = pick.bias(tensor('attn_output.bias'), width, traits.qkvBias === 'optional' ? 'optional' : 'none');
  const headNorm = (name: 'q' | 'k') =>
    traits.qkNorm ? pick.vector(tensor(`attn_${name}_norm.weight`), headDim) : null;
  const cache = { kCache: `k-cache.${layer}`, vCache: `v-cache.${layer}` };
  const ops: Op[] = [
    normOp(config, norm, 'normed', false),
    { kind: 'matmul', input: 'normed', parts, accumulate: false, outputs: false },
    {
      kind: 'rope-kv-write',
      ...{ q: 'q', k: 'k', v: 'v', ...cache, table: ROPE_TABLE, qNorm: headNorm('q'), kNorm: headNorm('k') },
      ...{ heads, kvHeads, headDim, ropeDim: config.rope.dim, neox: traits.neox, eps: config.normEps },
    },
    {
      kind: 'attention',
      ...{ q: 'q', ...cache, out: 'attended', heads, kvHeads, headDim },
      ...{ scale: config.attentionScale, window: config.window },
    },
    residualOp('attended', output.name, outputBias),
  ];
  return makeUnit(`layer ${layer} attention`, tensors, ops);
}

function feedForwardUnit(pick: TensorPicker, config: ModelConfig, layer: number): Unit {
  const { width, ffnWidth } = config;
  const tensor = (name: string) => `blk.${layer}.${name}`;
  const norm = pick.vector(tensor('ffn_norm.weight'), width);
  const gate = pick.matrix(tensor('ffn_gate.weight'), ffnWidth, width);
  const up = pick.matrix(tensor('ffn_up.weight'), ffnWidth, width);
  const down = pick.matrix(tensor('ffn_down.weight'), width, ffnWidth);
  return makeUnit(
    `layer ${layer} feed-forward`,
    [gate, up, down],
    [
      normOp(config, norm, 'normed', false),
      { kind: 'gated-matmul', input: 'normed', gate: gate.name, up: up.name, out: 'hidden', activation: 'silu' },
      residualOp('hidden', down.name, null),
    ],
  );
}

function outputUnit(pick: TensorPicker, config: ModelConfig, embedding: TensorInfo): Unit {
  const { width, vocabulary } = config;
  const norm = pick.vector('output_norm.weight', width);
  // Tied models have no output.weight: the embedding is the head.
  const head = pick.has('output.weight') ? pick.matrix('output.weight', vocabulary, width) : embedding;
  const parts = [{ weight: head.name, bias: null, out: 'logits' }];
  return makeUnit(
    'output',
    [head],
    [
      normOp(config, norm, 'selected', true),
      { kind: 'matmul', input: 'selected', parts, accumulate: false, outputs: true },
      { kind: 'top-k', input: 'logits', out: OUTPUTS, width: vocabulary, k: CANDIDATES },
    ],
  );
}

function makeUnit(name: string, tensors: TensorInfo[], ops: Op[]): Unit {
  return { name, tensors, bytes: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0), ops };
}

function normOp(config: ModelConfig, weight: string, out: string, selectOutputs: boolean): Op {
  return { kind: 'rms-norm', input: 'x', weight, out, width: config.width, eps: config.normEps, selectOutputs };
}

function residualOp(input: string, weight: string, bias: string | null): Op {
  return { kind: 'matmul', input, parts: [{ weight, bias, out: 'x' }], accumulate: true, outputs: false };
}

function buffersOf(config: ModelConfig): BufferSpec[] {
  const { width, heads, kvHeads, headDim, ffnWidth, vocabulary, layers, rope } = config;
  const floats = (name: string, per: 'row' | 'output', values: number): BufferSpec => ({
    name,
    per,
    itemBytes: values * 4,
  });
  const cache = (name: string): BufferSpec => ({ name, per: 'slot-position', itemBytes: kvHeads * headDim * 2 });
  return [
    floats('x', 'row', width),
    floats('normed', 'row', width),
    floats('q', 'row', heads * headDim),
    floats('k', 'row', kvHeads * headDim),
    floats('v', 'row', kvHeads * headDim),
    floats('attended', 'row', heads * headDim),
    floats('hidden', 'row', ffnWidth),
    floats('selected', 'output', width),
    floats('logits', 'output', vocabulary),
    { name: OUTPUTS, per: 'output', itemBytes: outputBytes(CANDIDATES) },
    { name: ROPE_TABLE, per: 'position', itemBytes: rope.dim * 4 },
    ...Array.from({ length: layers }, (_, layer) => [cache(`k-cache.${layer}`), cache(`v-cache.${layer}`)]).flat(),
  ];
}
