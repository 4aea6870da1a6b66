import type { Command } from 'commander';
import type { GenerateOptions } from '../options.js';
import { SAMPLER_DEFAULTS, type SamplerOptions, samplerOptions } from '../sampler/index.js';
import { collect, numberValue, wholeValue } from './values.js';

/** How text is generated; named as GenerateOptions. */
export interface SamplingFlags extends Partial<SamplerOptions> {
  readonly maxTokens?: number;
  readonly stop?: readonly string[];
  readonly ignoreEos?: boolean;
}

export function addSamplingOptions(command: Command): Command {
  const number = (flag: string, argument: string, help: string, fallback: number) =>
    command.option(`${flag} <${argument}>`, help, numberValue(flag), fallback);
  command.option('-n, --max-tokens <count>', 'tokens at most (default: until it ends)', wholeValue('--max-tokens', 1));
  number('--temperature', 'number', '0: always the likeliest token', SAMPLER_DEFAULTS.temperature);
  number('--top-k', 'count', 'among the k likeliest, 256 at most; 0: 256', SAMPLER_DEFAULTS.topK);
  number('--top-p', 'share', 'among the likeliest that hold this share', SAMPLER_DEFAULTS.topP);
  number('--min-p', 'share', "not below this share of the likeliest's", SAMPLER_DEFAULTS.minP);
  number('--repeat-penalty', 'number', '1: off', SAMPLER_DEFAULTS.repeatPenalty);
  number('--frequency-penalty', 'number', '0: off', SAMPLER_DEFAULTS.frequencyPenalty);
  number('--presence-penalty', 'number', '0: off', SAMPLER_DEFAULTS.presencePenalty);
  number('--repeat-last-n', 'count', 'tokens that penalties look back on; -1: all', SAMPLER_DEFAULTS.repeatLastN);
  command.option('--seed <number>', 'same seed, same text (default: random)', numberValue('--seed'));
  command.option('--stop <text>', 'end before this text; may be repeated', collect);
  return command.option('--ignore-eos', 'go on when the model says that it is done');
}

/** Checks the values and fixes the seed. Throws NtxError('bad-argument'). */
export function generateOptions(flags: SamplingFlags): GenerateOptions & { readonly seed: number } {
  const { maxTokens, stop, ignoreEos } = flags;
  const { temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty, repeatLastN, seed } = flags;
  const sampling = {
    temperature,
    topK,
    topP,
    minP,
    repeatPenalty,
    frequencyPenalty,
    presencePenalty,
    repeatLastN,
    seed,
  };
  return { ...samplerOptions(sampling as Partial<SamplerOptions>), maxTokens, stop, ignoreEnd: ignoreEos };
}
