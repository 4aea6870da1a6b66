import { NtxError } from './errors.js';
import type { Forward } from './forward.js';
import type { LanguageModel } from './language-model.js';

export interface PerplexityOptions {
  /** Tokens of a window; even. Default 512. */
  readonly window?: number | undefined;
  /** Windows from the start of the text; default: all that the text fills. */
  readonly windows?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each window with the perplexity so far. */
  readonly onWindow?: ((done: number, total: number, perplexity: number) => void) | undefined;
}

export interface PerplexityResult {
  /** exp(mean negative log-likelihood) */
  readonly perplexity: number;
  /** Nats a token, with its standard error. */
  readonly meanLoss: number;
  readonly standardError: number;
  readonly windows: number;
  readonly scoredTokens: number;
}

const DEFAULT_WINDOW = 512;

/**
 * Perplexity of a text: encoded as a whole with BOS, cut into windows whose first token is replaced by BOS (models that
 * have none keep theirs); scored are the tokens of each window's second half but its first, each with the whole window
 * before it as context (of 512 tokens: 257 to 511, by the logits of 256 to 510).
 * The model's context must hold a window. Not to be called while the model generates. Throws NtxError('bad-prompt',
 * 'bad-argument' or 'cancelled').
 */
export async function perplexity(
  model: LanguageModel,
  text: string,
  options: PerplexityOptions = {},
): Promise<PerplexityResult> {
  const window = checkWindow(options.window ?? DEFAULT_WINDOW, model.context);
  const most = checkWindows(options.windows);
  const tokens = model.tokenizer.encode(text);
  const windows = Math.min(most, Math.floor(tokens.length / window));
  if (windows < 1) {
    const message = `the text has ${tokens.length} tokens; one window takes ${window}`;
    throw new NtxError('bad-prompt', message, 'give a longer text or a smaller window');
  }
  const losses: number[] = [];
  model.sequence.truncate(0);
  for (let index = 0; index < windows; index++) {
    if (options.signal?.aborted) throw new NtxError('cancelled', 'the measurement was cancelled', 'run it again');
    const part = tokens.slice(index * window, (index + 1) * window);
    part[0] = model.tokenizer.bos ?? part[0];
    losses.push(...(await windowLosses(model.forward, part)));
    options.onWindow?.(index + 1, windows, Math.exp(mean(losses)));
  }
  const meanLoss = mean(losses);
  const variance = mean(losses.map((loss) => (loss - meanLoss) ** 2));
  const standardError = Math.sqrt(variance / Math.max(1, losses.length - 1));
  return { perplexity: Math.exp(meanLoss), meanLoss, standardError, windows, scoredTokens: losses.length };
}

function checkWindow(window: number, context: number): number {
  if (Number.isInteger(window) && window >= 4 && window % 2 === 0 && window <= context) return window;
  throw new NtxError(
    'bad-argument',
    `window: expected an even number of tokens from 4 to the context of ${context}, got ${window}`,
    'give another window, or load the model with a larger context',
  );
}

function checkWindows(windows = Number.POSITIVE_INFINITY): number {
  if (windows >= 1 && (Number.isInteger(windows) || windows === Number.POSITIVE_INFINITY)) return windows;
  const message = `windows: expected a whole number from 1 on, got ${windows}`;
  throw new NtxError('bad-argument', message, 'leave it out for all that the text fills');
}

/** Negative log-likelihood of each token after the first of the window's second half, in slot 0. */
async function windowLosses(forward: Forward, tokens: readonly number[]): Promise<number[]> {
  const { step, sizes } = forward;
  const firstScored = tokens.length / 2;
  const losses: number[] = [];
  for (let position = 0; position < tokens.length - 1; ) {
    step.clear();
    while (position < tokens.length - 1 && step.rows < sizes.maxRows && step.outputs < sizes.maxOutputs) {
      const row = step.addRow(tokens[position], position, 0);
      if (position >= firstScored) step.addOutput(row, tokens[position + 1]);
      position++;
    }
    for (const output of await forward.pass()) losses.push(output.logSumExp - output.targetLogit);
  }
  return losses;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
