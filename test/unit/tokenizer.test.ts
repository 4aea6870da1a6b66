import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { MetadataValue } from '../../src/gguf/types.js';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/index.js';
import { cpuSeconds } from './cpu-seconds.js';
import {
  BYTE,
  byteCharacters,
  byteLevel,
  CONTROL,
  errorOf,
  make,
  NORMAL,
  openVocabulary,
  sentencePiece,
  UNKNOWN,
  UNUSED,
  USER,
} from './tokenizer-fixtures.js';

describe('metadata that is not a tokenizer', () => {
  const without = (key: string) => {
    const metadata = byteLevel(['a b']);
    delete metadata[key];
    return metadata;
  };
  const spm = sentencePiece([['a', -1]]);
  const broken: readonly (readonly [string, Record<string, MetadataValue>, RegExp])[] = [
    ['no merges', without('ggml.merges'), /lacks the key 'tokenizer.ggml.merges'/],
    ['no tokens', without('ggml.tokens'), /lacks the key/],
    ['an empty vocabulary', { ...byteLevel(), 'ggml.tokens': [], 'ggml.token_type': [] }, /0 tokens/],
    ['types of another length', { ...byteLevel(), 'ggml.token_type': [1, 1] }, /256 tokens, but 2 token types/],
    ['a type that is none', { ...byteLevel(), 'ggml.token_type': new Array(256).fill(9) }, /type 9/],
    ['tokens that are no strings', { ...byteLevel(), 'ggml.tokens': [1, 2] }, /array of strings/],
    ['a merge of one part', byteLevel(['ab']), /merge 0 is 'ab'/],
    ['a BOS outside', byteLevel([], [], { 'ggml.bos_token_id': 256 }), /'tokenizer.ggml.bos_token_id' is 256/],
    ['an EOS below zero', byteLevel([], [], { 'ggml.eos_token_id': -1 }), /is -1/],
    ['an EOT that is no integer', byteLevel([], [], { 'ggml.eot_token_id': 1.5 }), /is 1.5/],
    ['an unknown outside', byteLevel([], [], { 'ggml.unknown_token_id': 1e9 }), /unknown_token_id/],
    ['scores of another length', { ...spm, 'ggml.scores': [0] }, /260 tokens, but 1 scores/],
    ['a score that is no number', sentencePiece([['a', Number.NaN]]), /the score of token 259 is NaN/],
    ['a byte token without a byte', sentencePiece([['<0xZZ>', 0, BYTE]]), /token 259 is a byte/],
    ['an endless token', sentencePiece([['a'.repeat(5000), 0]]), /token 259 is 5000 characters long/],
  ];

  it.each(broken)('refuses %s', (_, metadata, message) => {
    const error = errorOf(() => make(metadata));
    expect(error.code).toBe('bad-file');
    expect(error.message).toMatch(message);
    expect(error.advice).not.toBe('');
  });

  it('names what it knows when it does not know the kind', () => {
    const kind = errorOf(() => make({ ...byteLevel(), 'ggml.model': 'bert' }));
    expect([kind.code, kind.message]).toEqual(['unsupported', expect.stringMatching(/'bert'.*'llama'.*'gpt2'/)]);
    const pre = errorOf(() => make({ ...byteLevel(), 'ggml.pre': 'constructor' }));
    expect([pre.code, pre.message]).toEqual(['unsupported', expect.stringMatching(/constructor.*llama-bpe.*qwen2/)]);
  });
});

describe('BOS and EOS', () => {
  const ends = [
    ['<s>', CONTROL],
    ['</s>', CONTROL],
  ] as const;
  const ids = { 'ggml.bos_token_id': 256, 'ggml.eos_token_id': 257 };

  it.each([
    ['gpt-2', {}, [97]],
    ['qwen2', {}, [97]],
    ['llama-bpe', {}, [256, 97]],
    ['llama-bpe', { 'ggml.add_bos_token': false }, [97]],
    ['gpt-2', { 'ggml.add_bos_token': true, 'ggml.add_eos_token': true }, [256, 97, 257]],
  ])('pre-tokenizer %s with %j', (pre, more, expected) => {
    const tokenizer = make(byteLevel([], ends, { ...ids, 'ggml.pre': pre, ...more }));
    expect(tokenizer.encode('a')).toEqual(expected);
    expect(tokenizer.encode('a', { special: false })).toEqual([97]);
  });

  it('adds no BOS that the vocabulary does not name', () => {
    const tokenizer = make(byteLevel([], [], { 'ggml.pre': 'llama-bpe' }));
    expect([tokenizer.addBos, tokenizer.bos, tokenizer.encode('a')]).toEqual([true, null, [97]]);
  });

  it('has 1 and 2 as the defaults of SentencePiece', () => {
    const tokenizer = make(sentencePiece([['▁a', -1]]));
    expect([tokenizer.bos, tokenizer.eos, tokenizer.addBos, tokenizer.addEos]).toEqual([1, 2, true, false]);
  });
});

describe('tokens that end a generation', () => {
  it('are those of the metadata and the control tokens with a known name', () => {
    const special = [
      ['<|eot_id|>', CONTROL],
      ['<|im_end|>', USER],
      ['</s>', NORMAL],
      ['<stop>', CONTROL],
      ['<|other|>', CONTROL],
    ] as const;
    const tokenizer = make(byteLevel([], special, { 'ggml.eos_token_id': 259 }));
    expect([...tokenizer.eog].sort()).toEqual([256, 257, 259]);
  });

  it('are never made by plain text, even when the file calls them user-defined', () => {
    const tokenizer = make(byteLevel([], [['<|im_end|>', USER]]));
    expect(tokenizer.encode('<|im_end|>')).toEqual([...Buffer.from('<|im_end|>')]);
    expect(tokenizer.encode('<|im_end|>', { parseSpecial: true })).toEqual([256]);
    expect(tokenizer.decode([97, 256, 98])).toBe('ab');
  });
});

describe('special tokens in a text', () => {
  const special = [
    ['<a>', CONTROL],
    ['<a><b', CONTROL],
    ['b><c>>', CONTROL],
    ['<tag>', USER],
    ['<unk>', UNKNOWN],
    ['[PAD]', UNUSED],
  ] as const;
  const [a, ab, bc, tag, unk, pad] = special.map((_, i) => 256 + i);
  const tokenizer = make(byteLevel([], special));
  const bytes = (text: string) => [...Buffer.from(text)];

  it('are found only when asked for, user-defined ones always', () => {
    expect(tokenizer.encode('x<a>y')).toEqual(bytes('x<a>y'));
    expect(tokenizer.encode('x<a>y', { parseSpecial: true })).toEqual([120, a, 121]);
    expect(tokenizer.encode('<unk>')).toEqual(bytes('<unk>'));
    expect(tokenizer.encode('<unk>', { parseSpecial: true })).toEqual([unk]);
    expect(tokenizer.encode('x<tag>')).toEqual([120, tag]);
    expect(tokenizer.encode('[PAD]', { parseSpecial: true })).toEqual(bytes('[PAD]'));
  });

  it('are the longest where they overlap', () => {
    const encode = (text: string) => tokenizer.encode(text, { parseSpecial: true });
    expect(encode('<a><a>')).toEqual([a, a]);
    expect(encode('<a><b')).toEqual([ab]);
    expect(encode('<a><b><c>>')).toEqual([a, 60, bc]);
    expect(encode('<a><b><a>')).toEqual([ab, 62, a]);
  });

  it('are not found where the text is quoted', () => {
    const encode = (text: string, ...quoted: number[]) =>
      tokenizer.encode(text, { parseSpecial: true, quoted: new Set(quoted) });
    expect(encode('<a>', 0)).toEqual(bytes('<a>'));
    expect(encode('<a>', 2)).toEqual(bytes('<a>'));
    expect(encode('<tag>', 0)).toEqual(bytes('<tag>'));
    expect(encode('<a><a>', 3)).toEqual([a, ...bytes('<a>')]);
    expect(encode('<a><b', 4)).toEqual([a, ...bytes('<b')]);
  });

  it('are left out of decoded text unless asked for', () => {
    expect(tokenizer.decode([120, a, tag, unk, pad, 121])).toBe('x<tag>y');
    expect(tokenizer.decode([120, a, tag, unk, pad, 121], { special: true })).toBe('x<a><tag><unk>y');
  });

  it('begin a new text for SentencePiece', () => {
    const spm = make(sentencePiece([['▁', -1]]));
    const space = 259;
    const byte = (text: string) => text.charCodeAt(0) + 3;
    expect(spm.encode('a<s>b', { parseSpecial: true })).toEqual([1, space, byte('a'), 1, space, byte('b')]);
  });
});

describe('whole vocabularies', () => {
  let gpt2: Tokenizer;
  let llama: Tokenizer;

  beforeAll(async () => {
    gpt2 = createTokenizer(await openVocabulary('gpt-2'));
    llama = createTokenizer(await openVocabulary('llama-spm'));
  });

  const text = fc.string({ unit: 'binary', maxLength: 60 });

  it('give every text back', () => {
    fc.assert(
      fc.property(text, (sample) => {
        expect(gpt2.decode(gpt2.encode(sample))).toBe(sample);
        // A SentencePiece vocabulary cannot tell U+2581 from a space.
        const ids = llama.encode(sample);
        expect(llama.decode(ids, { startsText: true })).toBe(sample.replaceAll('▁', ' '));
      }),
      { numRuns: 1000 },
    );
  });

  it('take lone surrogates for U+FFFD', () => {
    expect(gpt2.decode(gpt2.encode('a\ud800b\udc00'))).toBe('a\ufffdb\ufffd');
  });

  it('remember words without mixing them up', () => {
    const sample = Array.from({ length: 40_000 }, (_, i) => ` w${i}`).join('');
    expect(gpt2.decode(gpt2.encode(sample + sample))).toBe(sample + sample);
  });

  it.each([
    ['a', 'a'.repeat(1e6)],
    ['spaces', `${' '.repeat(2.5e5)}x`],
    ['letters without a space', 'abcdefghij'.repeat(2.5e4)],
    ['one Chinese character', '汉'.repeat(1e5)],
  ])('encode one endless run of %s in seconds, not hours', (_, sample) => {
    const seconds = cpuSeconds();
    expect(gpt2.decode(gpt2.encode(sample))).toBe(sample);
    expect(llama.decode(llama.encode(sample), { startsText: true })).toBe(sample);
    expect(seconds()).toBeLessThan(15);
  });
});

describe('decoding', () => {
  const bytes = make(byteLevel([], [['<s>', CONTROL]], { 'ggml.bos_token_id': 256 }));
  const spm = make(
    sentencePiece([
      ['▁', -1],
      ['▁a', -2],
      ['é', -3],
      ['▁<b>', 0, USER],
    ]),
  );

  it.each([
    ['byte-level', bytes],
    ['SentencePiece', spm],
  ])('%s: a stream gives what decode gives, for any tokens', (_, tokenizer) => {
    const ids = fc.array(fc.integer({ min: 0, max: tokenizer.size - 1 }), { maxLength: 40 });
    const options = fc.record({ special: fc.boolean(), startsText: fc.boolean() });
    fc.assert(
      fc.property(ids, ids, options, (first, second, chosen) => {
        const stream = tokenizer.stream(chosen);
        for (const sample of [first, second]) {
          const pieces = [...sample.map((id) => stream.push(id)), stream.end()];
          expect(pieces.join('')).toBe(tokenizer.decode(sample, chosen));
          expect(pieces.every((piece) => !/\p{Surrogate}/u.test(piece))).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('holds a character back until it is whole, and gives up only when it is certain', () => {
    const stream = bytes.stream();
    const push = (...ids: number[]) => ids.map((id) => stream.push(id));
    expect(push(...Buffer.from('🦙'))).toEqual(['', '', '', '🦙']);
    expect(push(0xe2, 0x82, 0x41)).toEqual(['', '', '\ufffdA']);
    expect(push(0xff, 0x41)).toEqual(['\ufffd', 'A']);
    expect(push(0xc3, 256, 0xa9)).toEqual(['', '', 'é']);
    expect(push(0xf0, 0x9f)).toEqual(['', '']);
    expect(stream.end()).toBe('\ufffd');
    expect(stream.push(0x41)).toBe('A');
    expect(bytes.decode([0xef, 0xbb, 0xbf, 0x41])).toBe('\ufeffA');
  });

  it('drops the space that SentencePiece puts before a text when the tokens begin one', () => {
    const ids = spm.encode('a a');
    expect(spm.decode(ids)).toBe(' a a');
    expect(spm.decode(ids, { startsText: true })).toBe('a a');
    const stream = spm.stream({ startsText: true });
    expect(ids.map((id) => stream.push(id)).join('')).toBe('a a');
    const plain = make(sentencePiece([['▁a', -1]], { 'ggml.add_space_prefix': false }));
    expect(plain.decode([259], { startsText: true })).toBe(' a');
  });

  it('tells a token and its bytes', () => {
    expect([bytes.tokenText(0x20), [...bytes.tokenBytes(0x20)]]).toEqual([byteCharacters[0x20], [0x20]]);
    expect([bytes.tokenText(256), Buffer.from(bytes.tokenBytes(256)).toString()]).toEqual(['<s>', '<s>']);
    expect([spm.tokenText(13), [...spm.tokenBytes(13)]]).toEqual(['<0x0A>', [10]]);
    expect([spm.tokenText(260), [...spm.tokenBytes(260)]]).toEqual(['▁a', [0x20, 0x61]]);
    expect(Buffer.from(spm.tokenBytes(262)).toString()).toBe('▁<b>');
  });

  it('takes a token outside the byte alphabet as it is written', () => {
    const tokenizer = make(byteLevel([], [['한국', NORMAL]]));
    expect(tokenizer.decode([97, 256])).toBe('a한국');
  });

  it.each([-1, 257, 1.5, Number.NaN])('refuses %d, which is no token', (id) => {
    for (const run of [() => bytes.decode([id]), () => bytes.stream().push(id), () => bytes.tokenText(id)]) {
      expect(errorOf(run).code).toBe('bad-argument');
    }
  });
});
