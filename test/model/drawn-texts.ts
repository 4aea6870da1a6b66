import { expect } from 'vitest';
import type { GenerateOptions, LanguageModel } from '../../src/index.js';

const TOKENS = 48;
const PROMPT = 'Once upon a time';
const WAYS: readonly GenerateOptions[] = [
  { temperature: 0, repeatPenalty: 1 },
  { temperature: 0 },
  { seed: 7 },
  { seed: 8, temperature: 1.3, topK: 0, topP: 0.9, minP: 0, repeatPenalty: 1, frequencyPenalty: 0.3 },
];

/** A device that draws its tokens (Backend.submitDrawn) writes what it writes where the host chooses, in hardly any more passes. */
export async function expectDrawnTexts(model: LanguageModel): Promise<void> {
  const { backend } = model;
  const submit = backend.submit.bind(backend);
  const submitDrawn = backend.submitDrawn!.bind(backend);
  let [passes, drawn] = [0, 0];
  backend.submit = (...step) => {
    passes++;
    return submit(...step);
  };
  const counted: typeof submitDrawn = (...step) => {
    const pass = submitDrawn(...step);
    if (pass) drawn++;
    return pass;
  };
  const write = async (options: GenerateOptions, draws: boolean) => {
    backend.submitDrawn = draws ? counted : () => null;
    model.sequence.truncate(0);
    let text = '';
    for await (const piece of model.generate(PROMPT, { maxTokens: TOKENS, ignoreEnd: true, ...options }))
      text += piece.text;
    return text;
  };
  // Its kernel may still be compiled when a first text is written.
  await write({}, true);
  for (const options of WAYS) {
    const wanted = await write(options, false);
    [passes, drawn] = [0, 0];
    expect(await write(options, true)).toBe(wanted);
    expect(drawn).toBe(TOKENS - 1);
    // That of the prompt; a draw in f32 that was another than the host's costs one.
    expect(passes).toBeLessThanOrEqual(3);
  }
  Object.assign(backend, { submit, submitDrawn });
}
