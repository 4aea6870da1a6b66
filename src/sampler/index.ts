export { SAMPLER_DEFAULTS, type SamplerOptions, samplerOptions } from './options.js';
export { type Choice, Sampler } from './sampler.js';
