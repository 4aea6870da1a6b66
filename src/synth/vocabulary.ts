import type { MetadataEntry } from '../gguf/write.js';
import { Random } from './random.js';

/** token_type values of GGUF (llama.h, `enum llama_token_type`). */
const NORMAL = 1;
const CONTROL = 3;
const LONGEST_TOKEN = 12;
/** By frequency in English, so that the pairs which are merged first occur in prompts. */
const LETTERS = [...'etaoinshrdlcumwfgypbvkjxqz'];
/** A space, in GPT-2's writing of bytes. */
const SPACE = 'Ġ';

/** Bytes and the two control tokens. */
export const LEAST_VOCABULARY = 256 + 2;

/**
 * A byte-level BPE tokenizer in metadata entries: a token for each byte, tokens merged from earlier ones, each once, and two
 * control tokens at the end. It encodes any text, in pieces of one to twelve letters that mean nothing.
 * @param size tokens in all
 */
export function syntheticVocabulary(size: number, pre: 'llama-bpe' | 'qwen2', seed: number): MetadataEntry[] {
  const { tokens, merges } = mergedTokens(size - 2, new Random(seed, 'vocabulary'));
  const [begin, end] = pre === 'qwen2' ? ['<|im_start|>', '<|endoftext|>'] : ['<|begin_of_text|>', '<|end_of_text|>'];
  tokens.push(begin, end);
  const types = tokens.map((_, id) => (id < size - 2 ? NORMAL : CONTROL));
  const key = (name: string) => `tokenizer.ggml.${name}`;
  return [
    { key: key('model'), type: 'string', value: 'gpt2' },
    { key: key('pre'), type: 'string', value: pre },
    { key: key('tokens'), type: 'array', of: 'string', value: tokens },
    { key: key('token_type'), type: 'array', of: 'int32', value: types },
    { key: key('merges'), type: 'array', of: 'string', value: merges },
    { key: key('bos_token_id'), type: 'uint32', value: size - 2 },
    { key: key('eos_token_id'), type: 'uint32', value: size - 1 },
    // As in the real models: Llama 3 begins with its token, Qwen with none.
    { key: key('add_bos_token'), type: 'bool', value: pre === 'llama-bpe' },
  ];
}

function mergedTokens(count: number, random: Random): { tokens: string[]; merges: string[] } {
  const tokens = byteTokens();
  const merges: string[] = [];
  const known = new Set(tokens);
  /** What merges are made of: letters, and everything merged so far. */
  const parts = [...LETTERS];
  const merge = (left: string, right: string) => {
    const joined = left + right;
    if (tokens.length >= count || joined.length > LONGEST_TOKEN || known.has(joined)) return;
    known.add(joined);
    tokens.push(joined);
    parts.push(joined);
    merges.push(`${left} ${right}`);
  };
  for (const letter of LETTERS) merge(SPACE, letter);
  // Pairs of frequent letters first: those with the smallest sum of ranks.
  const pairs = LETTERS.flatMap((left, i) => LETTERS.map((right, j) => ({ left, right, rank: i + j })));
  for (const { left, right } of pairs.sort((a, b) => a.rank - b.rank)) merge(left, right);
  while (tokens.length < count) {
    const right = parts[random.below(parts.length)];
    if (!right.startsWith(SPACE)) merge(parts[random.below(parts.length)], right);
  }
  return { tokens, merges };
}

/**
 * GPT-2's 256 characters that stand for bytes (encoder.py, `bytes_to_unicode`): printable Latin-1 characters for themselves,
 * the other bytes, in order, for the characters from U+0100.
 */
function byteTokens(): string[] {
  const printable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return [
    ...bytes.filter(printable).map((byte) => String.fromCharCode(byte)),
    ...bytes.filter((byte) => !printable(byte)).map((_, i) => String.fromCharCode(0x100 + i)),
  ];
}
