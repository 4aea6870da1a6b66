import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type BackendName, type LanguageModel, loadModel, NtxError } from '../../src/index.js';
import { type PerplexityOptions, type PerplexityResult, perplexity } from '../../src/perplexity.js';
import { FABLE, FABLE_DRAFT, HELDOUT, STORIES, sharedModel } from './files.js';

const text = readFileSync(HELDOUT, 'utf8');

async function measure(
  path: string,
  options: PerplexityOptions,
  load: { backend?: BackendName; maxRows?: number; maxOutputs?: number } = {},
): Promise<PerplexityResult> {
  const sizes = { context: options.window ?? 512, maxRows: 256, maxOutputs: 256 };
  const model = await loadModel(path, { backend: 'cpu', ...sizes, ...load });
  try {
    return await perplexity(model, text, options);
  } finally {
    await model.dispose();
  }
}

const half = (percent: number, of: number) => [of * (1 - percent / 100), of * (1 + percent / 100)];

function expectWithin(percent: number, actual: number, wanted: number): void {
  const [low, high] = half(percent, wanted);
  expect(actual).toBeGreaterThan(low);
  expect(actual).toBeLessThan(high);
}

// llama.cpp's figures for the first 20 windows of 512 tokens.
describe.each([
  ['stories260k-f32.gguf', STORIES, 21.3601],
  ['fable-5m-q4_k_m.gguf', FABLE_DRAFT, 34.8145],
  ['fable-29m-q4_k_m.gguf', FABLE, 29.7162],
])('%s', (_, path, wanted) => {
  test(`has a perplexity of ${wanted}, within half a percent`, async () => {
    const result = await measure(path, { windows: 20 });
    expect(result).toMatchObject({ windows: 20, scoredTokens: 20 * 255 });
    expectWithin(0.5, result.perplexity, wanted);
  });
});

describe('cpu against reference, two windows', () => {
  const quantised = ['fable-5m-q2_k', 'fable-5m-q5_1', 'fable-5m-bf16'].map((name) => sharedModel(`${name}.gguf`));
  test.each([STORIES, FABLE_DRAFT, ...quantised.filter((path) => path !== null)])('%s', async (path) => {
    const options = { window: 128, windows: 2 };
    const reference = await measure(path, options, { backend: 'reference' });
    const cpu = await measure(path, options);
    expectWithin(0.5, cpu.perplexity, reference.perplexity);
  });
});

describe('the method', () => {
  test('does not depend on how a window is cut into passes', async () => {
    const options = { window: 64, windows: 2 };
    const whole = await measure(STORIES, options);
    for (const sizes of [
      { maxRows: 7, maxOutputs: 256 },
      { maxRows: 64, maxOutputs: 1 },
      { maxRows: 50, maxOutputs: 5 },
    ]) {
      const cut = await measure(STORIES, options, sizes);
      expect(cut.scoredTokens).toBe(2 * 31);
      expectWithin(0.01, cut.perplexity, whole.perplexity);
    }
  });

  test('scores what a step-by-step run gives', async () => {
    const model = await loadModel(STORIES, { backend: 'cpu', context: 64 });
    try {
      const { meanLoss } = await perplexity(model, text, { window: 16, windows: 1 });
      expect(meanLoss).toBeCloseTo(await stepByStepLoss(model), 3);
    } finally {
      await model.dispose();
    }
  });

  test.each([
    [{ window: 15 }, text],
    [{ windows: 0 }, text],
    [{ windows: 1.5 }, text],
    [{ windows: Number.NaN }, text],
    [{ window: 1024 }, text],
    [{ window: 512 }, 'too short'],
  ])('%o with such a text is refused', async (options, given) => {
    const model = await loadModel(STORIES, { backend: 'cpu', context: 512 });
    await expect(perplexity(model, given, options)).rejects.toThrow(NtxError);
    await model.dispose();
  });
});

/** The mean loss of tokens 9 to 15 of the text's first 16, by the logits among the best 256 of each single step. */
async function stepByStepLoss(model: LanguageModel): Promise<number> {
  const tokens = model.tokenizer.encode(text).slice(0, 16);
  expect(tokens[0]).toBe(model.tokenizer.bos);
  model.sequence.truncate(0);
  let loss = 0;
  for (let i = 0; i < 15; i++) {
    const output = (await model.sequence.extend([tokens[i]]))!;
    if (i < 8) continue;
    const at = output.tokens.indexOf(tokens[i + 1]);
    expect(at).toBeGreaterThanOrEqual(0);
    loss += output.logSumExp - output.logits[at];
  }
  return loss / 7;
}
