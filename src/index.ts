// The library: import { loadModel } from 'ntx'.
export { BACKEND_NAMES, type BackendName } from './backend/index.js';
export { loadModel } from './engine.js';
export { NtxError, type NtxErrorCode } from './errors.js';
export type { FinishReason } from './generate.js';
export { LanguageModel } from './language-model.js';
export { EMBEDDED_MODEL, type OpenedModel, openModel } from './open-model.js';
export type { GenerateOptions, LoadModelOptions, Piece, Summary } from './options.js';
export { type PerplexityOptions, type PerplexityResult, perplexity } from './perplexity.js';
export { SAMPLER_DEFAULTS, type SamplerOptions } from './sampler/index.js';
