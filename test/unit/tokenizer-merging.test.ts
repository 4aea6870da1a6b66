import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PairTable } from '../../src/tokenizer/pair-table.js';
import { PreTokenizer } from '../../src/tokenizer/pre-tokenizer.js';
import { byteLevel, CONTROL, errorOf, make, NORMAL, sentencePiece, UNKNOWN } from './tokenizer-fixtures.js';

describe('merging', () => {
  it('takes a word that is a token as it is for Llama 3 alone', () => {
    const metadata = byteLevel(['a b', 'ab c']);
    const tokens = metadata['ggml.tokens'] as string[];
    const abcd = { 'ggml.tokens': [...tokens, 'abcd'], 'ggml.token_type': new Array(tokens.length + 1).fill(NORMAL) };
    const encode = (pre: string) => make({ ...metadata, ...abcd, 'ggml.pre': pre }).encode('abcd');
    expect(encode('llama-bpe')).toEqual([tokens.length]);
    expect(encode('gpt-2')).toEqual([tokens.indexOf('abc'), 100]);
  });

  it('never makes a control token', () => {
    const metadata = byteLevel(['a b', 'ab c']);
    const tokens = metadata['ggml.tokens'] as string[];
    const types = tokens.map((text) => (text === 'abc' ? CONTROL : NORMAL));
    for (const pre of ['gpt-2', 'llama-bpe']) {
      const tokenizer = make({ ...metadata, 'ggml.token_type': types, 'ggml.pre': pre });
      expect(tokenizer.encode('abc')).toEqual([tokens.indexOf('ab'), 99]);
    }
    const pieces = ['<', 's', '>', '<s'].map((text, i) => [text, -i] as const);
    const spm = make(sentencePiece(pieces, { 'ggml.add_space_prefix': false }));
    expect(spm.encode('<s>', { special: false })).toEqual([262, 261]);
  });

  it('gives characters that have neither token nor bytes to the unknown token', () => {
    const tokenizer = make({ 'ggml.model': 'llama', 'ggml.tokens': ['<unk>', '▁a'], 'ggml.scores': [0, 0] });
    expect(tokenizer.encode('a🦙', { special: false })).toEqual([1, 0]);
  });

  it('gives bytes that have no token to the unknown token, or leaves them out', () => {
    const metadata = byteLevel([], [['<unk>', UNKNOWN]]);
    const tokens = (metadata['ggml.tokens'] as string[]).map((text) => (text === 'b' ? '[unused]' : text));
    expect(make({ ...metadata, 'ggml.tokens': tokens }).encode('abc')).toEqual([97, 99]);
    const unknown = { 'ggml.unknown_token_id': 256 };
    expect(make({ ...metadata, 'ggml.tokens': tokens, ...unknown }).encode('abc')).toEqual([97, 256, 99]);
  });

  it('says what is wrong when a word is too long for a regular expression, and goes on', () => {
    const overflow = () => {
      throw new RangeError('Maximum call stack size exceeded');
    };
    const preTokenizer = new PreTokenizer('gpt-2');
    const error = errorOf(() => preTokenizer.split('aaaa', overflow));
    expect([error.code, error.message]).toEqual(['bad-prompt', expect.stringContaining('4 characters')]);
    const words: string[] = [];
    preTokenizer.split('bb cc', (word) => words.push(word));
    expect(words).toEqual(['bb', ' cc']);
  });

  it('finds every pair again, and keeps the first of equals', () => {
    const symbol = fc.oneof(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -1_114_112, max: 1_048_575 }));
    const entry = fc.tuple(symbol, symbol, fc.nat(1_048_575), fc.nat());
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 200 }), fc.nat(100), symbol, symbol, (entries, expected, a, b) => {
        const pairs = new PairTable(expected);
        const known = new Map<string, readonly [number, number]>();
        for (const [left, right, rank, merged] of entries) {
          pairs.add(left, right, rank, merged);
          if (!known.has(`${left} ${right}`)) known.set(`${left} ${right}`, [rank, merged]);
        }
        for (const [left, right] of entries) {
          expect([pairs.rank(left, right), pairs.merged(left, right)]).toEqual(known.get(`${left} ${right}`));
        }
        expect(pairs.rank(a, b)).toBe(known.get(`${a} ${b}`)?.[0] ?? -1);
      }),
    );
  });

  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 14 });
  const parts = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 3 });

  it('by merges equals merging step by step', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(parts, parts), { selector: String, maxLength: 20 }),
        letters,
        (pairs, text) => {
          const metadata = byteLevel(pairs.map(([left, right]) => `${left} ${right}`));
          const tokens = metadata['ggml.tokens'] as string[];
          const rank = (left: string, right: string) => pairs.findIndex(([a, b]) => a === left && b === right);
          const expected = mergeStepByStep([...text], (left, right) => {
            const at = rank(left, right);
            return at < 0 ? Number.POSITIVE_INFINITY : at;
          });
          expect(
            make(metadata)
              .encode(text)
              .map((id) => tokens[id]),
          ).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('by scores equals merging step by step, with equal scores and characters without a token', () => {
    const piece = fc.string({ unit: fc.constantFrom('a', 'b', '🦙', '▁'), minLength: 1, maxLength: 4 });
    const pieces = fc.uniqueArray(fc.tuple(piece, fc.integer({ min: -3, max: 0 })), { selector: ([text]) => text });
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '🦙', ' '), maxLength: 20 });
    fc.assert(
      fc.property(pieces, text, (vocabulary, sample) => {
        const tokenizer = make(sentencePiece(vocabulary, { 'ggml.add_space_prefix': false }));
        const scores = new Map<string, number>(vocabulary);
        const merged = mergeStepByStep([...sample.replaceAll(' ', '▁')], (left, right) => {
          const score = scores.get(left + right);
          return score === undefined ? Number.POSITIVE_INFINITY : -score;
        });
        const expected = merged.flatMap((part) =>
          scores.has(part) ? [part] : [...Buffer.from(part)].map((b) => `<0x${b.toString(16).toUpperCase()}>`),
        );
        const ids = tokenizer.encode(sample, { special: false });
        expect(ids.map((id) => tokenizer.tokenText(id))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  /** The definition: the pair of lowest rank merges, the leftmost of equals, until none is left. */
  function mergeStepByStep(symbols: string[], rank: (left: string, right: string) => number): string[] {
    for (;;) {
      const ranks = symbols.slice(1).map((right, i) => rank(symbols[i], right));
      const best = Math.min(...ranks);
      if (!Number.isFinite(best)) return symbols;
      const at = ranks.indexOf(best);
      symbols.splice(at, 2, symbols[at] + symbols[at + 1]);
    }
  }
});
