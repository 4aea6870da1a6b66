import type { Choice, Sampler } from './sampler/index.js';
import type { Sequence } from './sequence.js';

/** Why a generation ended. */
export type FinishReason =
  /** The model ended it. */
  | 'end'
  /** One of the caller's stop texts came. */
  | 'stop'
  /** maxTokens. */
  | 'length'
  /** No position of the context is left. */
  | 'context'
  | 'cancelled';

export interface GenerateParameters {
  readonly sampler: Sampler;
  readonly maxTokens: number;
  /** Tokens that end the text; they are not yielded. */
  readonly endTokens: ReadonlySet<number>;
  readonly signal?: AbortSignal | undefined;
  /** Called after each pass over the prompt. */
  readonly onPrompt?: ((done: number, total: number) => void) | undefined;
}

/** The loop: prompt, then choose a token and run it, until something ends it. Yields every chosen token. */
export async function* generate(
  sequence: Sequence,
  prompt: readonly number[],
  parameters: GenerateParameters,
): AsyncGenerator<Choice, FinishReason, undefined> {
  const { sampler, maxTokens, endTokens, signal, onPrompt } = parameters;
  const known = sequence.reuse(prompt);
  const history = [...prompt];
  // What is drawn behind the last pass is not run.
  const sampling = (passes: number) => (passes < maxTokens ? () => sampler.sampling(history) : undefined);
  const first = { signal, onProgress: onPrompt, sampling: sampling(1) };
  let output = await sequence.extend(prompt.slice(known), first);
  for (let count = 0; count < maxTokens; count++) {
    if (output === null || signal?.aborted) return 'cancelled';
    const choice = sampler.choose(output, history);
    if (endTokens.has(choice.token)) return 'end';
    history.push(choice.token);
    yield choice;
    if (sequence.room === 0) return 'context';
    if (count + 1 < maxTokens) {
      output = await sequence.extend([choice.token], { signal, sampling: sampling(count + 2) });
    }
  }
  return 'length';
}
