import type { TransformerTraits } from './transformer.js';

/** Qwen 2 and 2.5 (arXiv 2407.10671): biases on q, k and v. */
export const qwen2: TransformerTraits = { neox: true, qkvBias: 'required', qkNorm: false };
