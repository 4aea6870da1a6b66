// How a device draws the token that follows, without asking the host: parameters of native/cuda/kernels/sample.cu and
// kernels/wgsl/sample.wgsl, which follow src/sampler/sampler.ts in f32.
import type { SamplerOptions } from '../sampler/options.js';

/** Tokens seen lately that a device looks at. */
export const MOST_RECENT = 64;

const HEADER_WORDS = 12;
export const SAMPLING_WORDS = HEADER_WORDS + 2 * MOST_RECENT;

type Options = Omit<SamplerOptions, 'seed' | 'repeatLastN'>;

export interface Sampling extends Options {
  /** What the token is drawn with where the temperature is above 0: in [0, 1). */
  readonly random: number;
  /** How often tokens that penalties look back on were seen: at most MOST_RECENT tokens. */
  readonly recent: ReadonlyMap<number, number>;
}

/** How the next token will be chosen, worked out for who can use it alone; null: a device cannot. */
export type NextSampling = () => Sampling | null;

/**
 * f32 temperature, u32 top-k, f32 top-p, min-p, repeat, frequency and presence penalty, f32 random, u32 recent, u32 tokens, two
 * words of 0; then MOST_RECENT of (u32 token, u32 count).
 * @param tokens that may be drawn: those below
 */
export function samplingWords(sampling: Sampling, tokens: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(SAMPLING_WORDS);
  const floats = new Float32Array(words.buffer);
  const { temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty, random, recent } = sampling;
  floats.set([temperature, 0, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty, random]);
  words[1] = topK;
  words[8] = recent.size;
  words[9] = tokens;
  let at = HEADER_WORDS;
  for (const pair of recent) {
    words.set(pair, at);
    at += 2;
  }
  return words;
}
