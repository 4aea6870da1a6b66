import type { TransformerTraits } from './transformer.js';

/** Llama 1 to 3.3, Mistral, SmolLM: GGUF converters permute q and k so that pairs are neighbours. */
export const llama: TransformerTraits = { neox: false, qkvBias: 'optional', qkNorm: false };
