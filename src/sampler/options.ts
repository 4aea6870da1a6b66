import { NtxError } from '../errors.js';

/** How the next token is chosen. */
export interface SamplerOptions {
  /** 0: greedy, the largest logit. */
  readonly temperature: number;
  /** Keeps the k best candidates; 0: all that the backend returned (256). */
  readonly topK: number;
  /** Keeps the best candidates until their probabilities add up to this (arXiv 1904.09751). */
  readonly topP: number;
  /** Drops candidates less probable than this share of the best (arXiv 2407.01082). */
  readonly minP: number;
  /** Divides positive logits, and multiplies negative ones, of tokens seen lately (arXiv 1909.05858). 1: off. */
  readonly repeatPenalty: number;
  /** Subtracted from a logit for every time that the token was seen lately. */
  readonly frequencyPenalty: number;
  /** Subtracted once from the logit of a token seen lately. */
  readonly presencePenalty: number;
  /** How many tokens "lately" is; -1: all. */
  readonly repeatLastN: number;
  /** Same seed, same text on one backend. A 32-bit number. */
  readonly seed: number;
}

export const SAMPLER_DEFAULTS: Omit<SamplerOptions, 'seed'> = {
  temperature: 0.8,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  repeatPenalty: 1.1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repeatLastN: 64,
};

const RANGES: { readonly [Name in keyof SamplerOptions]: { low: number; high: number; whole?: boolean } } = {
  temperature: { low: 0, high: 100 },
  topK: { low: 0, high: 2 ** 31, whole: true },
  topP: { low: 0, high: 1 },
  minP: { low: 0, high: 1 },
  repeatPenalty: { low: 0.01, high: 100 },
  frequencyPenalty: { low: -100, high: 100 },
  presencePenalty: { low: -100, high: 100 },
  repeatLastN: { low: -1, high: 2 ** 31, whole: true },
  seed: { low: 0, high: 2 ** 32 - 1, whole: true },
};

/** Fills in defaults (a random seed among them) and throws NtxError('bad-argument') for a value out of range. */
export function samplerOptions(given: Partial<SamplerOptions>): SamplerOptions {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const options: SamplerOptions = { ...SAMPLER_DEFAULTS, seed, ...defined };
  for (const [name, { low, high, whole }] of Object.entries(RANGES)) {
    const value = options[name as keyof SamplerOptions];
    if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
      throw new NtxError(
        'bad-argument',
        `${name}: expected ${whole ? 'a whole number' : 'a number'} from ${low} to ${high}, got ${value}`,
        'see ntx run --help',
      );
    }
  }
  return options;
}
