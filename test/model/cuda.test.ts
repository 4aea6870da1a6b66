// Whole models on cuda: llama.cpp's golden logits, the cpu backend's texts and perplexity, and a program that ends.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LanguageModel, loadModel } from '../../src/index.js';
import { perplexity } from '../../src/perplexity.js';
import { openCudaDevice } from '../cuda-device.js';
import { expectDrawnTexts } from './drawn-texts.js';
import { FABLE, HELDOUT, readGolden, STORIES } from './files.js';
import { measureGpu } from './measured-gpu.js';
import { ntx } from './program.js';

/** As in golden.test.ts. */
const FLOAT_BOUND = 0.05;
const QUANTISED_BOUND = 0.25;

const MODELS = [
  { name: 'stories260k-f32', file: STORIES, bound: FLOAT_BOUND },
  { name: 'fable-29m-q4_k_m', file: FABLE, bound: QUANTISED_BOUND },
];

beforeAll(() => openCudaDevice().dispose());

describe.each(MODELS)('$name', ({ name, file, bound }) => {
  let cpu: LanguageModel;
  let cuda: LanguageModel;

  beforeAll(async () => {
    const sizes = { context: 256, maxRows: 128, maxOutputs: 128 };
    cpu = await loadModel(file, { backend: 'cpu', ...sizes });
    cuda = await loadModel(file, { backend: 'cuda', ...sizes });
  });

  afterAll(async () => {
    await cpu?.dispose();
    await cuda?.dispose();
  });

  test.each(readGolden(`${name}.json`)!)('golden: $prompt', async (golden) => {
    cuda.sequence.truncate(0);
    let output = await cuda.sequence.extend(golden.prompt_ids);
    for (const [index, { id, top }] of golden.steps.entries()) {
      const logits = new Map(Array.from(output!.tokens, (token, i) => [token, output!.logits[i]]));
      for (const [token, logit] of top) {
        const difference = Math.abs((logits.get(token) ?? Number.NaN) - logit);
        expect(difference, `logit of token ${token} at step ${index}`).toBeLessThanOrEqual(bound);
      }
      if (top[0][1] - top[1][1] > 2 * bound) expect(output!.tokens[0], `choice of step ${index}`).toBe(top[0][0]);
      output = await cuda.sequence.extend([id]);
    }
  });

  test('draws its tokens by itself', () => expectDrawnTexts(cuda));

  test('has the perplexity of the cpu', async () => {
    const text = readFileSync(HELDOUT, 'utf8');
    const options = { window: 256, windows: 2 };
    const wanted = await perplexity(cpu, text, options);
    const actual = await perplexity(cuda, text, options);
    expect(Math.abs(actual.perplexity / wanted.perplexity - 1)).toBeLessThan(0.005);
  });

  test('a prompt in passes of any size gives the same', async () => {
    const tokens = cuda.tokenizer.encode(readFileSync(HELDOUT, 'utf8').slice(0, 600)).slice(0, 120);
    cuda.sequence.truncate(0);
    const whole = await cuda.sequence.extend(tokens);
    for (const rows of [1, 2, 7, 16, 17, 33, 64]) {
      cuda.sequence.truncate(0);
      let output: Awaited<ReturnType<typeof cuda.sequence.extend>> = null;
      for (let at = 0; at < tokens.length; at += rows) {
        output = await cuda.sequence.extend(tokens.slice(at, at + rows));
      }
      expect(Math.abs(output!.logSumExp - whole!.logSumExp), `${rows} rows`).toBeLessThan(bound);
      expect(Math.abs(output!.logits[0] - whole!.logits[0]), `${rows} rows`).toBeLessThan(bound);
    }
  });
});

test('measuring finds a link, both kinds of pinned memory, and what waiting costs', async () => {
  const backend = openCudaDevice();
  try {
    const { device, link } = await measureGpu(backend);
    expect([device.backend, device.copiesOverlapKernels]).toEqual(['cuda', true]);
    expect(device.memoryBytes).toBe(backend.memory().total);
    expect(link!.writeCombined!.length).toBe(link!.copies.length);
    const waits = link!.copyAfterPassSeconds + link!.passAfterCopySeconds;
    expect(waits < 1e-3, `${waits}`).toBe(true);
  } finally {
    await backend.dispose();
  }
});

describe('the program', () => {
  test('writes with --backend cuda, and ends', async () => {
    // F32 weights: of logits near each other rounding to 8 bits may make another the largest.
    const args = ['run', STORIES, '-p', 'Once upon a time', '-n', '48', '--temperature', '0', '--backend'];
    const [cuda, cpu] = [await ntx([...args, 'cuda']), await ntx([...args, 'cpu'])];
    expect(cuda.stderr).not.toMatch(/error/i);
    expect(cuda.status).toBe(0);
    expect(cuda.stdout).toBe(cpu.stdout);
    expect(cuda.stdout.length).toBeGreaterThan(48);
  });
});
