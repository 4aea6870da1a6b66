// Against other implementations: llama.cpp's ids and texts, Hugging Face's words.
import { beforeAll, describe, expect, it } from 'vitest';
import { openGguf } from '../../src/gguf/open.js';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/index.js';
import { PreTokenizer } from '../../src/tokenizer/pre-tokenizer.js';
import { openVocabulary, readVector } from './tokenizer-fixtures.js';

const texts = readVector('texts.inp').split('\n__ggml_vocab_test__\n');

describe.each(['gpt-2', 'starcoder', 'deepseek-coder', 'llama-spm'])('llama.cpp vectors: %s', (name) => {
  const lines = readVector(`${name}.out`).split('\n');
  let tokenizer: Tokenizer;

  beforeAll(async () => {
    tokenizer = createTokenizer(await openVocabulary(name));
  });

  it('encodes every text to the same ids', () => {
    expect(texts).toHaveLength(47);
    for (const [i, text] of texts.entries()) {
      expect(tokenizer.encode(text, { special: false }), JSON.stringify(text)).toEqual(ids(lines[i]));
    }
  });

  it('decodes the ids to the texts', () => {
    for (const [i, text] of texts.entries()) {
      expect(tokenizer.decode(ids(lines[i]), { startsText: true })).toBe(text);
    }
  });
});

function ids(line: string): number[] {
  return line.split(' ').filter(Boolean).map(Number);
}

interface Golden {
  readonly prompt: string;
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  readonly text: string;
}

describe('golden generations', () => {
  const golden = JSON.parse(readVector('golden.json')) as Record<string, Golden[]>;
  const embedded = new URL('../../models/fable-29m-q4_k_m.gguf', import.meta.url);

  it.each([
    ['fable-29m', () => openGguf(embedded.pathname)],
    ['stories260k', () => openVocabulary('stories260k')],
  ])('%s: prompts and continuations', async (name, open) => {
    const tokenizer = createTokenizer(await open());
    expect(golden[name].length).toBeGreaterThan(3);
    for (const { prompt, promptIds, ids, text } of golden[name]) {
      expect(tokenizer.encode(prompt)).toEqual(promptIds);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });
});

describe('pre-tokenizers', () => {
  const vectors = JSON.parse(readVector('words.json')) as { texts: string[]; words: Record<string, string[][]> };
  const sameWords: readonly (readonly [string, string])[] = [
    ...Object.keys(vectors.words).map((name) => [name, name] as const),
    ...['llama3', 'llama-v3'].map((name) => [name, 'llama-bpe'] as const),
    ['deepseek-r1-qwen', 'qwen2'],
    ['mpt', 'gpt-2'],
    ...['starcoder', 'refact'].map((name) => [name, 'smollm'] as const),
  ];

  it.each(sameWords)('%s cuts texts like %s', (name, like) => {
    const preTokenizer = new PreTokenizer(name);
    for (const [i, text] of vectors.texts.entries()) {
      const words: string[] = [];
      preTokenizer.split(text, (word) => words.push(word));
      expect(words).toEqual(vectors.words[like][i]);
    }
  });
});
