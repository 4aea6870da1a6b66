import { expect, test } from 'vitest';
import { type BenchOptions, benchModel } from '../../src/bench.js';
import type { Forward } from '../../src/forward.js';
import type { LanguageModel } from '../../src/language-model.js';
import { Sequence } from '../../src/sequence.js';
import { FakeBackend } from './fake-backend.js';

const OPTIONS: BenchOptions = { promptTokens: 8, tokens: 3, repeat: 1 };
/** Of the warm-up, of decoding 1 + 3 tokens, of the prompt. */
const PASSES = 2 + 4 + 2;

/** A model whose signal is aborted before pass number `abortAt`. */
function setUp(abortAt: number) {
  const backend = new FakeBackend(50);
  const controller = new AbortController();
  const forward = backend.forward({ maxRows: 4, maxOutputs: 1, slots: 1, context: 16 });
  const watched = new Proxy(forward, {
    get: (target, key: keyof Forward) => {
      if (key === 'pass' && backend.passes.length === abortAt) controller.abort();
      const value = target[key];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const sequence = new Sequence(watched, 0);
  const model = { sequence, config: { vocabulary: 50 }, model: { small: [], units: [] } } as unknown as LanguageModel;
  return { backend, model, signal: controller.signal };
}

test('prompts and decodes are timed to their ends', async () => {
  const { backend, model, signal } = setUp(-1);
  const { prompt, decode } = await benchModel(model, { ...OPTIONS, signal }, null);
  expect(backend.passes).toHaveLength(PASSES);
  expect(prompt.best).toBeGreaterThan(0);
  expect(decode.best).toBeGreaterThan(0);
});

// The last pass of all runs to its end, and its time is right.
const STOPPED = Array.from({ length: PASSES - 1 }, (_, index) => index);

test.each(STOPPED)('a measurement that is stopped in pass %i gives no rates of what has not run', async (abortAt) => {
  const { model, signal } = setUp(abortAt);
  await expect(benchModel(model, { ...OPTIONS, signal }, null)).rejects.toMatchObject({ code: 'cancelled' });
});
