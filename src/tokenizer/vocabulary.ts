import { NtxError } from '../errors.js';
import { getBooleanOr, getNumberArray, getNumberOr, getString, getStringArray } from '../gguf/metadata.js';
import type { GgufModel } from '../gguf/types.js';

/** `tokenizer.ggml.token_type` (GGUF specification). */
export const TOKEN_TYPE = {
  undefined: 0,
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** What both tokenizer models share: the tokens, their kinds and the roles that some of them play. */
export interface Vocabulary {
  /** `llama`: SentencePiece by scores; `gpt2`: byte-level BPE by merges. */
  readonly model: 'llama' | 'gpt2';
  readonly texts: readonly string[];
  /** One of TOKEN_TYPE for each token. */
  readonly types: Uint8Array;
  /** The tokens that plain text may become. Control tokens are not among them, whatever the merges say. */
  readonly ids: ReadonlyMap<string, number>;
  readonly bos: number | null;
  readonly eos: number | null;
  readonly unknown: number | null;
  /** Every token that ends a generation. */
  readonly eog: ReadonlySet<number>;
}

/** Ranks, ids and heap keys stay exact integers below this; the largest vocabularies in use have 2^18 tokens. */
const MAX_TOKENS = 2 ** 20;

/**
 * The end-of-generation tokens that models have by these names without always naming them in the metadata; llama.cpp
 * recognises them by name too. The last line ends a file in the infill formats.
 */
const END_TEXTS = new Set([
  ...['</s>', '<|endoftext|>', '<|end_of_text|>', '<|eot_id|>', '<|eom_id|>', '<|im_end|>', '<|end|>', '<|EOT|>'],
  ...['<EOT>', '_<EOT>', '<end_of_turn>', '<|end_of_turn|>', '<end_of_utterance>', '<｜end▁of▁sentence｜>'],
  ...['<|return|>', '<|call|>', '<|fim_pad|>', '<fim_pad>', '<|repo_name|>', '<|file_sep|>'],
]);

const END_KEYS = ['eos', 'eot', 'eom', 'fim_pad', 'fim_rep', 'fim_sep'];

/** @throws NtxError `bad-file` for arrays that do not fit each other or ids that are no tokens, `unsupported` for other models. */
export function readVocabulary(gguf: GgufModel): Vocabulary {
  const model = getString(gguf, 'tokenizer.ggml.model');
  if (model !== 'llama' && model !== 'gpt2') {
    throw new NtxError(
      'unsupported',
      `The file's tokenizer is of the kind '${model}'; ntx knows 'llama' (SentencePiece) and 'gpt2' (byte-level BPE).`,
      'Use a model with one of these tokenizers.',
    );
  }
  const texts = getStringArray(gguf, 'tokenizer.ggml.tokens');
  if (texts.length === 0 || texts.length > MAX_TOKENS) {
    throw badVocabulary(`it has ${texts.length} tokens; expected 1 to ${MAX_TOKENS}`);
  }
  const types = readTypes(gguf, texts.length);
  const spm = model === 'llama';
  const id = (role: string, fallback: number | null) => readId(gguf, role, texts.length, fallback);
  const eog = new Set<number>();
  for (const role of END_KEYS) {
    const end = id(role, spm && role === 'eos' ? 2 : null);
    if (end !== null) eog.add(end);
  }
  for (const [token, text] of texts.entries()) {
    const type = types[token];
    if ((type === TOKEN_TYPE.control || type === TOKEN_TYPE.userDefined) && END_TEXTS.has(text)) eog.add(token);
  }
  // Some converters mark the end of a turn as user-defined, which every plain text may contain: then a prompt that
  // quotes it would hold a real end of turn.
  for (const token of eog) if (types[token] === TOKEN_TYPE.userDefined) types[token] = TOKEN_TYPE.control;
  return {
    model,
    texts,
    types,
    ids: plainIds(texts, types, spm),
    bos: id('bos', spm ? 1 : null),
    eos: id('eos', spm ? 2 : null),
    unknown: id('unknown', spm ? 0 : null),
    eog,
  };
}

/** Whether BOS and EOS are put around a text, unless the metadata says otherwise. */
export function readAdditions(gguf: GgufModel, bosByDefault: boolean): { addBos: boolean; addEos: boolean } {
  return {
    addBos: getBooleanOr(gguf, 'tokenizer.ggml.add_bos_token', bosByDefault),
    addEos: getBooleanOr(gguf, 'tokenizer.ggml.add_eos_token', false),
  };
}

export function badVocabulary(what: string): NtxError {
  return new NtxError(
    'bad-file',
    `The model's vocabulary is broken: ${what}.`,
    'The file is damaged or badly converted: download or convert the model again.',
  );
}

function readTypes(gguf: GgufModel, tokens: number): Uint8Array {
  const key = 'tokenizer.ggml.token_type';
  if (!gguf.metadata.has(key)) return new Uint8Array(tokens).fill(TOKEN_TYPE.normal);
  const numbers = getNumberArray(gguf, key);
  if (numbers.length !== tokens) throw badVocabulary(`${tokens} tokens, but ${numbers.length} token types`);
  const wrong = numbers.findIndex((type) => !(Number.isInteger(type) && type >= 0 && type <= TOKEN_TYPE.byte));
  if (wrong >= 0) throw badVocabulary(`token ${wrong} has the type ${numbers[wrong]}; types are 0 to 6`);
  return Uint8Array.from(numbers);
}

function readId(gguf: GgufModel, role: string, tokens: number, fallback: number | null): number | null {
  const key = `tokenizer.ggml.${role}_token_id`;
  const id = getNumberOr(gguf, key, fallback !== null && fallback < tokens ? fallback : null);
  if (id !== null && !(Number.isInteger(id) && id >= 0 && id < tokens)) {
    throw badVocabulary(`'${key}' is ${id}, but tokens are 0 to ${tokens - 1}`);
  }
  return id;
}

/**
 * SentencePiece finds byte and user-defined pieces by other ways than merging, so they are left out there; in a
 * byte-level vocabulary characters of the byte alphabet can be user-defined (deepseek-coder has such).
 */
function plainIds(texts: readonly string[], types: Uint8Array, spm: boolean): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const [id, text] of texts.entries()) {
    const type = types[id];
    if (text === '' || type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown) continue;
    if (spm && (type === TOKEN_TYPE.byte || type === TOKEN_TYPE.userDefined)) continue;
    ids.set(text, id);
  }
  return ids;
}
