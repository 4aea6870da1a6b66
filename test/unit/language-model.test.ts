import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { NtxError } from '../../src/errors.js';
import { LanguageModel } from '../../src/language-model.js';
import { type OpenedModel, openModel } from '../../src/open-model.js';
import type { GenerateOptions, Summary } from '../../src/options.js';
import { FakeBackend } from './fake-backend.js';

/** A letter is a token: a is 0. */
function tokenizer(size: number) {
  const push = (token: number) => {
    if (token >= size) throw new Error(`${token} is not a token`);
    return String.fromCharCode(97 + token);
  };
  const encode = (text: string) => [...text].map((letter) => letter.charCodeAt(0) - 97);
  return { size, encode, stream: () => ({ push, end: () => '' }), eog: new Set<number>() };
}

function setUp(letters = 26) {
  const backend = new FakeBackend(26);
  const model = { config: { vocabulary: 26, trainedContext: 32 } };
  const opened = { gguf: { files: [] }, model, tokenizer: tokenizer(letters) } as unknown as OpenedModel;
  const loaded = { forward: backend.forward({ maxRows: 4, maxOutputs: 1, slots: 1, context: 32 }) };
  let freed: () => void = () => {};
  const onDispose = () =>
    new Promise<void>((resolve) => {
      freed = resolve;
    });
  const parts = [opened, backend as unknown as Backend, loaded as never, null, onDispose] as const;
  return { backend, model: new LanguageModel(...parts), free: () => freed() };
}

async function run(model: LanguageModel, prompt: string, options: GenerateOptions = {}): Promise<[string, Summary]> {
  const pieces = model.generate(prompt, { temperature: 0, maxTokens: 4, ...options });
  let text = '';
  for (;;) {
    const next = await pieces.next();
    if (next.done) return [text, next.value];
    text += next.value.text;
  }
}

const isDisposed = { code: 'bad-argument', message: 'the model was disposed' };

describe('after dispose', () => {
  test('a generation that was begun, one that waited for it, and a new one end with that sentence', async () => {
    const { backend, model, free } = setUp();
    const begun = model.generate('abc', { maxTokens: 9 });
    await begun.next();
    const waiting = run(model, 'def');
    const disposed = model.dispose();
    const { length } = backend.passes;
    await expect(begun.next()).rejects.toMatchObject(isDisposed);
    await expect(waiting).rejects.toMatchObject(isDisposed);
    await expect(run(model, 'ghi')).rejects.toMatchObject(isDisposed);
    expect(backend.passes).toHaveLength(length);
    free();
    await disposed;
  });

  test('whoever disposes once more waits until the memory is free, too', async () => {
    const { model, free } = setUp();
    let ended = 0;
    const both = [model.dispose(), model.dispose()].map((each) => each.then(() => ended++));
    await new Promise(setImmediate);
    expect(ended).toBe(0);
    free();
    await Promise.all(both);
  });
});

describe('options', () => {
  test.each([-1, 1.5, Number.NaN, 'ten'])('maxTokens %s is refused', async (maxTokens) => {
    const { model } = setUp();
    await expect(run(model, 'abc', { maxTokens: maxTokens as number })).rejects.toBeInstanceOf(NtxError);
    expect((await run(model, 'abc'))[1].generatedTokens).toBe(4);
  });

  test.each(['end', [1], 7])('stop %s is refused', async (stop) => {
    const { model } = setUp();
    await expect(run(model, 'abc', { stop: stop as unknown as string[] })).rejects.toBeInstanceOf(NtxError);
  });

  test.each(['', [], undefined])('the prompt %j is refused', async (prompt) => {
    await expect(run(setUp().model, prompt as string)).rejects.toMatchObject({ code: 'bad-prompt' });
  });

  test('maxTokens 0 runs the prompt alone; without a limit the context ends it', async () => {
    const { model } = setUp();
    expect(await run(model, 'abc', { maxTokens: 0 })).toMatchObject(['', { finishReason: 'length' }]);
    const unlimited = await run(model, 'abc', { maxTokens: Number.POSITIVE_INFINITY });
    expect(unlimited[1].finishReason).toBe('context');
  });
});

test.each([null, 5, new URL('file:///model.gguf'), 'a\0b'])('the path %j is refused', async (path) => {
  await expect(openModel(path as string)).rejects.toMatchObject({ code: 'bad-argument' });
});

test('a token of the embedding that the vocabulary lacks has no text', async () => {
  const [text] = await run(setUp().model, 'abc', { maxTokens: 12 });
  const [fewer] = await run(setUp(13).model, 'abc', { maxTokens: 12 });
  expect(text).toMatch(/[n-z]/);
  expect(fewer).toBe(text.replace(/[n-z]/g, ''));
});

describe('the summary', () => {
  test('tells what the cache held, of a generation that was stopped as well', async () => {
    const { model } = setUp();
    expect((await run(model, 'abcd'))[1]).toMatchObject({ promptTokens: 4, reusedTokens: 0 });
    const signal = AbortSignal.abort();
    const stopped = await run(model, 'abxyz', { signal });
    expect(stopped).toMatchObject(['', { finishReason: 'cancelled', promptTokens: 5, reusedTokens: 2 }]);
    expect((await run(model, 'abxyz'))[1]).toMatchObject({ promptTokens: 5, reusedTokens: 2 });
  });
});
