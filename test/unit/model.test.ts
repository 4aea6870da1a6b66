import { describe, expect, test } from 'vitest';
import { NtxError } from '../../src/errors.js';
import type { GgufModel, MetadataValue, TensorInfo } from '../../src/gguf/types.js';
import { buildModel } from '../../src/model/index.js';

const WIDTH = 64;
const FFN = 96;
const VOCABULARY = 300;

/** The header of a two-layer model of 4 heads and 2 KV heads. */
function header(
  architecture: string,
  changes: { metadata?: Record<string, MetadataValue | null>; tensors?: Record<string, number[] | null> } = {},
): GgufModel {
  const metadata = new Map<string, MetadataValue>([['general.architecture', architecture]]);
  const numbers: Record<string, number> = {
    block_count: 2,
    context_length: 512,
    embedding_length: WIDTH,
    feed_forward_length: FFN,
    'attention.head_count': 4,
    'attention.head_count_kv': 2,
    'attention.layer_norm_rms_epsilon': 1e-5,
  };
  for (const [key, value] of Object.entries(numbers)) metadata.set(`${architecture}.${key}`, value);
  for (const [key, value] of Object.entries(changes.metadata ?? {})) {
    if (value === null) metadata.delete(key);
    else metadata.set(key, value);
  }
  const shapes: Record<string, number[] | null> = {
    'token_embd.weight': [WIDTH, VOCABULARY],
    'output_norm.weight': [WIDTH],
  };
  for (const layer of ['blk.0', 'blk.1']) {
    Object.assign(shapes, {
      [`${layer}.attn_norm.weight`]: [WIDTH],
      [`${layer}.attn_q.weight`]: [WIDTH, WIDTH],
      [`${layer}.attn_k.weight`]: [WIDTH, WIDTH / 2],
      [`${layer}.attn_v.weight`]: [WIDTH, WIDTH / 2],
      [`${layer}.attn_output.weight`]: [WIDTH, WIDTH],
      [`${layer}.ffn_norm.weight`]: [WIDTH],
      [`${layer}.ffn_gate.weight`]: [WIDTH, FFN],
      [`${layer}.ffn_up.weight`]: [WIDTH, FFN],
      [`${layer}.ffn_down.weight`]: [FFN, WIDTH],
    });
  }
  Object.assign(shapes, changes.tensors);
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shape] of Object.entries(shapes)) {
    if (!shape) continue;
    const bytes = shape.reduce((product, size) => product * size, 4);
    tensors.set(name, { name, type: 'F32', shape, file: 0, offset: 0, bytes });
  }
  return { files: [{ path: 'made.gguf', bytes: 0 }], version: 3, metadata, tensors };
}

const biases = Object.fromEntries(
  ['blk.0', 'blk.1'].flatMap((layer) => [
    [`${layer}.attn_q.bias`, [WIDTH]],
    [`${layer}.attn_k.bias`, [WIDTH / 2]],
    [`${layer}.attn_v.bias`, [WIDTH / 2]],
  ]),
);
const headNorms = Object.fromEntries(
  ['blk.0', 'blk.1'].flatMap((layer) => [
    [`${layer}.attn_q_norm.weight`, [16]],
    [`${layer}.attn_k_norm.weight`, [16]],
  ]),
);

const YARN = { 'llama.rope.scaling.type': 'yarn', 'llama.rope.scaling.factor': 4 };

function refusal(gguf: GgufModel): NtxError {
  try {
    buildModel(gguf, null);
  } catch (error) {
    if (error instanceof NtxError) return error;
    throw error;
  }
  throw new Error('the model was accepted');
}

describe('units', () => {
  test('a layer is two units, the head one, and a tied head is the embedding', () => {
    const model = buildModel(header('llama'), null);
    expect(model.units.map((unit) => unit.name)).toEqual([
      'layer 0 attention',
      'layer 0 feed-forward',
      'layer 1 attention',
      'layer 1 feed-forward',
      'output',
    ]);
    expect(model.units[4].tensors[0]).toBe(model.embedding);
    expect(model.units[0].bytes).toBe(4 * (2 * WIDTH * WIDTH + WIDTH * WIDTH));
  });

  test('an untied head is its own tensor', () => {
    const model = buildModel(header('llama', { tensors: { 'output.weight': [WIDTH, VOCABULARY] } }), null);
    expect(model.units[4].tensors[0].name).toBe('output.weight');
  });

  test('every tensor of the file is in exactly one place', () => {
    const gguf = header('qwen3', { tensors: headNorms });
    const model = buildModel(gguf, null);
    const placed = [model.embedding, ...model.small, ...model.units.slice(0, -1).flatMap((unit) => unit.tensors)];
    expect(placed.map((tensor) => tensor.name).sort()).toEqual([...gguf.tensors.keys()].sort());
  });

  test('architectures differ in rotation, biases and head norms', () => {
    const rope = (gguf: GgufModel) => buildModel(gguf, null).units[0].ops.find((op) => op.kind === 'rope-kv-write');
    const parts = (gguf: GgufModel) => buildModel(gguf, null).units[0].ops.find((op) => op.kind === 'matmul')?.parts;
    expect(rope(header('llama'))).toMatchObject({ neox: false, qNorm: null });
    expect(rope(header('qwen2', { tensors: biases }))).toMatchObject({ neox: true, qNorm: null });
    expect(rope(header('qwen3', { tensors: headNorms }))).toMatchObject({
      neox: true,
      kNorm: 'blk.0.attn_k_norm.weight',
    });
    expect(parts(header('llama'))?.map((part) => part.bias)).toEqual([null, null, null]);
    expect(parts(header('qwen2', { tensors: biases }))?.[2].bias).toBe('blk.0.attn_v.bias');
  });
});

describe('refusals name what is wrong', () => {
  test.each([
    ['an unknown architecture', header('mamba'), /"mamba".*llama, qwen2, qwen3/],
    ['an architecture named like a property of objects', header('constructor'), /"constructor"/],
    [
      'a missing tensor',
      header('llama', { tensors: { 'blk.1.ffn_up.weight': null } }),
      /blk\.1\.ffn_up\.weight is missing/,
    ],
    ['a wrong shape', header('llama', { tensors: { 'blk.0.attn_k.weight': [WIDTH, 33] } }), /attn_k.*64 x 32.*64 x 33/],
    [
      'a tensor of something else',
      header('llama', { tensors: { 'blk.0.ffn_gate_inp.weight': [WIDTH, 8] } }),
      /ffn_gate_inp/,
    ],
    ['missing biases', header('qwen2'), /attn_q\.bias is missing/],
    ['experts', header('llama', { metadata: { 'llama.expert_count': 8 } }), /mixture of 8 experts/],
    ['heads that do not divide', header('llama', { metadata: { 'llama.attention.head_count_kv': 3 } }), /divisor of 4/],
    [
      'heads that differ by layer',
      header('llama', { metadata: { 'llama.attention.head_count_kv': [2, 1] } }),
      /differs/,
    ],
    ['no layers', header('llama', { metadata: { 'llama.block_count': 0 } }), /block_count.*from 1/],
    ['a missing key', header('llama', { metadata: { 'llama.embedding_length': null } }), /llama\.embedding_length/],
    ['odd rotation', header('llama', { metadata: { 'llama.rope.dimension_count': 15 } }), /dimension_count.*even/],
    ['unknown scaling', header('llama', { metadata: { 'llama.rope.scaling.type': 'longrope' } }), /"longrope"/],
    ['an epsilon of zero', header('llama', { metadata: { 'llama.attention.layer_norm_rms_epsilon': 0 } }), /positive/],
    ['half a window', header('llama', { metadata: { 'llama.attention.sliding_window': 1.5 } }), /window.*whole.*1\.5/],
    ['a window back', header('llama', { metadata: { 'llama.attention.sliding_window': -4 } }), /window.*from 0 .*-4/],
    ['an endless scale', header('llama', { metadata: { 'llama.attention.scale': Infinity } }), /attention\.scale.*Inf/],
    [
      'an original context of 0',
      header('llama', { metadata: { ...YARN, 'llama.rope.scaling.original_context_length': 0 } }),
      /original_context_length.*positive/,
    ],
    [
      'an attention factor that is no number',
      header('llama', { metadata: { ...YARN, 'llama.rope.scaling.attn_factor': Number.NaN } }),
      /attn_factor.*positive/,
    ],
  ])('%s', (_, gguf, sentence) => {
    const error = refusal(gguf);
    expect(error.message).toMatch(sentence);
    expect(error.code).not.toBe('internal');
    expect(error.advice.length).toBeGreaterThan(10);
  });

  test('rotation factors of the wrong length', () => {
    expect(() => buildModel(header('llama'), new Float32Array(7))).toThrow(/7 values.*need 8/);
  });
});

test('what a file of YaRN leaves out is the context of the model, as llama.cpp has it', () => {
  const { scaling } = buildModel(header('llama', { metadata: YARN }), null).config.rope;
  expect(scaling).toEqual({ type: 'yarn', factor: 4, originalContext: 512, attentionFactor: 1 });
});

test('head counts may be arrays of equal entries', () => {
  const gguf = header('llama', { metadata: { 'llama.attention.head_count_kv': [2, 2] } });
  expect(buildModel(gguf, null).config.kvHeads).toBe(2);
});
