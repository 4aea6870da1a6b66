import type { TransformerTraits } from './transformer.js';

/** Qwen 3 (arXiv 2505.09388): no biases, RMS norm of each q and k head. */
export const qwen3: TransformerTraits = { neox: true, qkvBias: 'none', qkNorm: true };
