import type { GgmlType } from '../gguf/types.js';
import type { MetadataEntry, TensorSpec } from '../gguf/write.js';
import { fileType, fittingType, type Role, type WeightTypes, wantedType } from './recipe.js';
import type { Shape } from './shapes.js';
import { syntheticVocabulary } from './vocabulary.js';

/** Keys and value types as convert_hf_to_gguf.py of llama.cpp writes them. */
export function describeMetadata(shape: Shape, types: WeightTypes, name: string, seed: number): MetadataEntry[] {
  const vocabulary = shape.architecture === 'llama' ? 'llama-bpe' : 'qwen2';
  return describeModel(shape, types, name).concat(syntheticVocabulary(shape.vocabulary, vocabulary, seed));
}

/** Without the tokenizer. */
export function describeModel(shape: Shape, types: WeightTypes, name: string): MetadataEntry[] {
  const { architecture } = shape;
  const text = (key: string, value: string): MetadataEntry => ({ key, type: 'string', value });
  const whole = (key: string, value: number): MetadataEntry => ({ key, type: 'uint32', value });
  const float = (key: string, value: number): MetadataEntry => ({ key, type: 'float32', value });
  const entries = [
    text('general.architecture', architecture),
    text('general.type', 'model'),
    text('general.name', `Random ${name}`),
    text('general.description', `Random weights in the shape of ${name}, for measurements: it writes noise.`),
    whole(`${architecture}.block_count`, shape.layers),
    whole(`${architecture}.context_length`, shape.context),
    whole(`${architecture}.embedding_length`, shape.width),
    whole(`${architecture}.feed_forward_length`, shape.ffnWidth),
    whole(`${architecture}.attention.head_count`, shape.heads),
    whole(`${architecture}.attention.head_count_kv`, shape.kvHeads),
    float(`${architecture}.rope.freq_base`, shape.ropeBase),
    float(`${architecture}.attention.layer_norm_rms_epsilon`, shape.normEps),
    whole(`${architecture}.attention.key_length`, shape.headDim),
    whole(`${architecture}.attention.value_length`, shape.headDim),
    whole('general.file_type', fileType(types)),
    whole('general.quantization_version', 2),
  ];
  if (architecture === 'llama') {
    entries.push(whole('llama.vocab_size', shape.vocabulary), whole('llama.rope.dimension_count', shape.headDim));
  }
  return entries;
}

/** The tensors of a shape, and sentences about matrices that could not have the type asked for. */
export function describeTensors(shape: Shape, types: WeightTypes): { tensors: TensorSpec[]; notes: string[] } {
  const { architecture, width, ffnWidth, headDim, vocabulary } = shape;
  const tensors: TensorSpec[] = [];
  const replaced = new Map<string, number>();
  const vector = (name: string, length: number) => tensors.push({ name, type: 'F32', shape: [length] });
  const matrix = (role: Role, layer: number, cols: number, rows: number) => {
    const wanted = wantedType(types, role, layer, cols, shape);
    const type = fittingType(wanted, cols);
    if (type !== wanted) count(replaced, describeFallback(wanted, type, cols));
    const prefix = role === 'token_embd' || role === 'output' ? '' : `blk.${layer}.`;
    tensors.push({ name: `${prefix}${role}.weight`, type, shape: [cols, rows] });
  };
  const heads = shape.heads * headDim;
  const kvHeads = shape.kvHeads * headDim;
  if (shape.ropeFactor) vector('rope_freqs.weight', headDim / 2);
  matrix('token_embd', 0, width, vocabulary);
  for (let layer = 0; layer < shape.layers; layer++) {
    const own = (name: string, length: number) => vector(`blk.${layer}.${name}`, length);
    own('attn_norm.weight', width);
    matrix('attn_q', layer, width, heads);
    matrix('attn_k', layer, width, kvHeads);
    matrix('attn_v', layer, width, kvHeads);
    if (architecture === 'qwen2') {
      own('attn_q.bias', heads);
      own('attn_k.bias', kvHeads);
      own('attn_v.bias', kvHeads);
    }
    if (architecture === 'qwen3') {
      own('attn_q_norm.weight', headDim);
      own('attn_k_norm.weight', headDim);
    }
    matrix('attn_output', layer, heads, width);
    own('ffn_norm.weight', width);
    matrix('ffn_gate', layer, width, ffnWidth);
    matrix('ffn_up', layer, width, ffnWidth);
    matrix('ffn_down', layer, ffnWidth, width);
  }
  vector('output_norm.weight', width);
  if (!shape.tied) matrix('output', shape.layers, width, vocabulary);
  return { tensors, notes: [...replaced].map(([what, n]) => `${n} ${n === 1 ? 'matrix' : 'matrices'} ${what}`) };
}

function describeFallback(wanted: GgmlType, type: GgmlType, cols: number): string {
  return `with rows of ${cols} weights, which blocks of ${wanted} do not divide: ${type} instead`;
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}
