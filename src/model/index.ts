// The room's interface: from a file's header to units and ops.
import { NtxError } from '../errors.js';
import { getString } from '../gguf/metadata.js';
import type { GgufModel } from '../gguf/types.js';
import { readConfig } from './config.js';
import { llama } from './llama.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { buildTransformer, type TransformerTraits } from './transformer.js';
import type { Model } from './unit.js';

export type { ModelConfig } from './config.js';
export { ropeTable } from './rope.js';
export { type BufferSpec, isFeedForward, isTied, type Model, OUTPUTS, ROPE_TABLE, type Unit } from './unit.js';

const ARCHITECTURES: Readonly<Record<string, TransformerTraits>> = { llama, qwen2, qwen3 };

/** Name of the tensor that divides rope frequencies (Llama 3.1), which the caller reads before buildModel. */
export const ROPE_FACTORS = 'rope_freqs.weight';

/** Throws NtxError naming the key or tensor that is missing, wrong or unknown. */
export function buildModel(gguf: GgufModel, ropeFactors: Float32Array | null): Model {
  const name = getString(gguf, 'general.architecture');
  const traits = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (!traits) {
    throw new NtxError(
      'unsupported',
      `the model's architecture is "${name}"; ntx runs ${Object.keys(ARCHITECTURES).join(', ')}`,
      'choose a model of one of these architectures',
    );
  }
  return buildTransformer(gguf, readConfig(gguf, ropeFactors), traits);
}
