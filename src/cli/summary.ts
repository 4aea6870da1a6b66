import type { FinishReason } from '../generate.js';
import type { Summary } from '../options.js';
import { rateText } from './output.js';

const REASONS: Readonly<Record<FinishReason, string>> = {
  end: 'the model ended it',
  stop: 'stop text',
  length: '--max-tokens reached',
  context: 'the context is full',
  cancelled: 'stopped',
};

/** Tokens a second of the two phases; NaN where nothing was measured. */
export function rates(summary: Summary): { prompt: number; decode: number } {
  const { finishReason, generatedTokens, promptTokens, reusedTokens, promptSeconds, decodeSeconds } = summary;
  // The first token comes out of the prompt's pass; the token that ends a text costs a pass and is not counted.
  const passes = generatedTokens - 1 + (finishReason === 'end' ? 1 : 0);
  // Of a prompt that was stopped, nobody knows how much has run.
  const isWhole = finishReason !== 'cancelled' || generatedTokens > 0;
  return {
    prompt: isWhole && promptSeconds > 0 ? (promptTokens - reusedTokens) / promptSeconds : Number.NaN,
    decode: passes > 0 && decodeSeconds > 0 ? passes / decodeSeconds : Number.NaN,
  };
}

/** "12 prompt tokens, 310 tok/s | 48 tokens, 95.3 tok/s | the model ended it | seed 7" */
export function summaryLine(summary: Summary, seed: number): string {
  const { prompt, decode } = rates(summary);
  const { promptTokens, reusedTokens, generatedTokens, finishReason } = summary;
  const known = reusedTokens > 0 ? ` (${reusedTokens} known)` : '';
  return [
    `${promptTokens} prompt tokens${known}, ${rateText(prompt)} tok/s`,
    `${generatedTokens} tokens, ${rateText(decode)} tok/s`,
    REASONS[finishReason],
    `seed ${seed}`,
  ].join(' | ');
}
