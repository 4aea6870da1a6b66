import { TextDecoder } from 'node:util';
import { NtxError } from '../errors.js';
import { getBooleanOr, getNumberArray, getStringArray, getStringOr } from '../gguf/metadata.js';
import type { GgufModel } from '../gguf/types.js';
import { ByteLevelModel } from './byte-level.js';
import {
  type ChatMessage,
  type ChatOptions,
  ChatTemplate,
  DEFAULT_TEMPLATE,
  readChatTemplates,
} from './chat-template.js';
import { PreTokenizer } from './pre-tokenizer.js';
import { SentencePieceModel } from './sentencepiece.js';
import { SpecialTokens } from './special-tokens.js';
import type { TextModel } from './text-model.js';
import { badVocabulary, readAdditions, readVocabulary, TOKEN_TYPE, type Vocabulary } from './vocabulary.js';

export interface EncodeOptions {
  /** Put BOS before and EOS after the text where the model wants them. Default true. */
  readonly special?: boolean;
  /** Recognise control tokens that are written out in the text, such as <|im_start|>. Default false. */
  readonly parseSpecial?: boolean;
  /** Offsets (UTF-16 units) at which no control token may begin or end: text that is only quoted (chat-template.ts). */
  readonly quoted?: ReadonlySet<number>;
}

export interface DecodeOptions {
  /** Write control tokens out instead of leaving them away. Default false. */
  readonly special?: boolean;
  /** The ids begin a text: drop the space that a SentencePiece vocabulary puts before it. Default false. */
  readonly startsText?: boolean;
}

/** Text from tokens that come one at a time. The pieces joined are what `decode` gives for all of them. */
export interface DetokenizerStream {
  /**
   * The text that is complete with this token: never a part of a character. Bytes that cannot become a character are
   * U+FFFD as soon as that is certain.
   * @throws NtxError `bad-argument` for an id that is no token
   */
  push(id: number): string;
  /** U+FFFD for a character that stayed incomplete. The stream can be used again for another text. */
  end(): string;
}

export interface Tokenizer {
  /** Number of tokens. */
  readonly size: number;
  readonly bos: number | null;
  readonly eos: number | null;
  /** Every token that ends a generation: EOS, and the ends of turn and message that the metadata or their names tell. */
  readonly eog: ReadonlySet<number>;
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** The file has a chat template, so that encodeChat works; without one a model can only continue a text. */
  readonly hasChatTemplate: boolean;
  /** Names of the file's chat templates, 'default' for the one without a name. */
  readonly chatTemplates: readonly string[];
  /** Lone surrogates become U+FFFD. */
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * A conversation as the model's chat template writes it. Special tokens that a message spells out stay plain text.
   * BOS comes first when the model wants it, whether the template writes it or not.
   * @throws NtxError `bad-argument` for a template that the file has not, `bad-prompt` for messages that the template
   *   refuses, `bad-file` or `unsupported` for a template that does not work
   */
  encodeChat(messages: readonly ChatMessage[], options?: ChatOptions): number[];
  /** @throws NtxError `bad-argument` for an id that is no token */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  stream(options?: DecodeOptions): DetokenizerStream;
  /** The token as the vocabulary writes it: 'Ġthe', '▁the', '<0x0A>'. */
  tokenText(id: number): string;
  /** The bytes that the token adds to a text; control tokens written out. */
  tokenBytes(id: number): Uint8Array;
}

const NO_OFFSETS: ReadonlySet<number> = new Set();
const SPACE = 0x20;

/**
 * The tokenizer that a GGUF file describes (`tokenizer.ggml.*`), with llama.cpp's results.
 *
 * Own code, because @huggingface/tokenizers 0.2.0, fed with the same vocabularies, gave equal ids but took 12.9 s for
 * 1 MB of one letter and 1.8 s for 200 KB of prose with a SentencePiece vocabulary, held 62 MB for 128,000 tokens and
 * 243,000 merges, cannot tell quoted text from markers and has no decoding byte by byte (bench/tokenizer.mjs: 0.3 s,
 * 0.03 s, 12 MB).
 *
 * @throws NtxError `unsupported` for a tokenizer or pre-tokenizer that is not known, `bad-file` for broken metadata
 */
export function createTokenizer(gguf: GgufModel): Tokenizer {
  const vocabulary = readVocabulary(gguf);
  const templates = readChatTemplates(gguf);
  if (vocabulary.model === 'llama') {
    const prefix = getBooleanOr(gguf, 'tokenizer.ggml.add_space_prefix', true);
    const model = new SentencePieceModel(vocabulary, readScores(gguf, vocabulary), prefix);
    return new GgufTokenizer(vocabulary, model, { ...readAdditions(gguf, true), templates, spacePrefix: prefix });
  }
  // Files from before April 2024 lack the key; llama.cpp takes 'default' for them.
  const preTokenizer = new PreTokenizer(getStringOr(gguf, 'tokenizer.ggml.pre', 'default'));
  const merges = getStringArray(gguf, 'tokenizer.ggml.merges');
  const model = new ByteLevelModel(vocabulary, merges, preTokenizer);
  const additions = readAdditions(gguf, preTokenizer.addBos);
  return new GgufTokenizer(vocabulary, model, { ...additions, templates, spacePrefix: false });
}

interface Facts {
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** Chat templates by name. */
  readonly templates: ReadonlyMap<string, string>;
  /** The vocabulary puts a space before every text. */
  readonly spacePrefix: boolean;
}

class GgufTokenizer implements Tokenizer {
  readonly size: number;
  readonly bos: number | null;
  readonly eos: number | null;
  readonly eog: ReadonlySet<number>;
  readonly addBos: boolean;
  readonly addEos: boolean;
  readonly hasChatTemplate: boolean;
  readonly chatTemplates: readonly string[];
  private readonly specials: SpecialTokens;
  private readonly parsedTemplates = new Map<string, ChatTemplate>();

  constructor(
    private readonly vocabulary: Vocabulary,
    private readonly model: TextModel,
    private readonly facts: Facts,
  ) {
    this.size = vocabulary.texts.length;
    this.bos = vocabulary.bos;
    this.eos = vocabulary.eos;
    this.eog = vocabulary.eog;
    this.addBos = facts.addBos;
    this.addEos = facts.addEos;
    this.hasChatTemplate = facts.templates.has(DEFAULT_TEMPLATE);
    this.chatTemplates = [...facts.templates.keys()];
    this.specials = new SpecialTokens(vocabulary);
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    const { special = true, parseSpecial = false, quoted = NO_OFFSETS } = options;
    const wellFormed = /\p{Surrogate}/u.test(text) ? Buffer.from(text).toString() : text;
    const ids: number[] = [];
    if (special && this.addBos && this.bos !== null) ids.push(this.bos);
    let at = 0;
    const encodeUntil = (end: number) => {
      if (end > at) this.model.encode(wellFormed.slice(at, end), ids);
    };
    for (const match of this.specials.find(wellFormed, parseSpecial, quoted)) {
      encodeUntil(match.start);
      ids.push(match.id);
      at = match.end;
    }
    encodeUntil(wellFormed.length);
    if (special && this.addEos && this.eos !== null) ids.push(this.eos);
    return ids;
  }

  encodeChat(messages: readonly ChatMessage[], options: ChatOptions = {}): number[] {
    const template = this.template(options.template ?? DEFAULT_TEMPLATE);
    const text = (id: number | null) => (id === null ? '' : this.tokenText(id));
    const { markerEdges } = this.specials;
    const chat = template.render(messages, { bos: text(this.bos), eos: text(this.eos), markerEdges }, options);
    const ids = this.encode(chat.text, { special: false, parseSpecial: true, quoted: chat.quoted });
    return this.addBos && this.bos !== null && ids[0] !== this.bos ? [this.bos, ...ids] : ids;
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const pieces: Uint8Array[] = [];
    for (const id of ids) pieces.push(this.shownBytes(id, options.special ?? false));
    return utf8Decoder().decode(this.withoutPrefix(Buffer.concat(pieces), options));
  }

  stream(options: DecodeOptions = {}): DetokenizerStream {
    const decoder = utf8Decoder();
    let begun = false;
    return {
      push: (id) => {
        let bytes = this.shownBytes(id, options.special ?? false);
        if (!begun && bytes.length > 0) {
          begun = true;
          bytes = this.withoutPrefix(bytes, options);
        }
        return decoder.decode(bytes, { stream: true });
      },
      end: () => {
        begun = false;
        return decoder.decode();
      },
    };
  }

  tokenText(id: number): string {
    this.check(id);
    return this.vocabulary.texts[id];
  }

  tokenBytes(id: number): Uint8Array {
    return this.shownBytes(id, true);
  }

  private shownBytes(id: number, special: boolean): Uint8Array {
    this.check(id);
    const text = this.vocabulary.texts[id];
    switch (this.vocabulary.types[id]) {
      case TOKEN_TYPE.normal:
      case TOKEN_TYPE.byte:
        return this.model.bytes(id);
      case TOKEN_TYPE.userDefined:
        return Buffer.from(text);
      case TOKEN_TYPE.control:
      case TOKEN_TYPE.unknown:
        return special ? Buffer.from(text) : new Uint8Array();
      default:
        return new Uint8Array();
    }
  }

  private withoutPrefix(bytes: Uint8Array, options: DecodeOptions): Uint8Array {
    return options.startsText && this.facts.spacePrefix && bytes[0] === SPACE ? bytes.subarray(1) : bytes;
  }

  private template(name: string): ChatTemplate {
    const source = this.facts.templates.get(name);
    if (source === undefined) {
      const known = this.chatTemplates.length > 0 ? `it has: ${this.chatTemplates.join(', ')}` : 'it has none';
      const advice = 'Continue plain text instead, or choose one of the templates that the file has.';
      throw new NtxError('bad-argument', `The model has no chat template '${name}'; ${known}.`, advice);
    }
    const template = this.parsedTemplates.get(name) ?? new ChatTemplate(source);
    this.parsedTemplates.set(name, template);
    return template;
  }

  private check(id: number): void {
    if (Number.isInteger(id) && id >= 0 && id < this.size) return;
    throw new NtxError('bad-argument', `${id} is not a token`, `Tokens are whole numbers below ${this.size}.`);
  }
}

/** Keeps U+FEFF at the start of a text, which is a character like others here. */
function utf8Decoder(): TextDecoder {
  return new TextDecoder('utf-8', { ignoreBOM: true });
}

function readScores(gguf: GgufModel, vocabulary: Vocabulary): readonly number[] {
  const scores = getNumberArray(gguf, 'tokenizer.ggml.scores');
  const tokens = vocabulary.texts.length;
  if (scores.length !== tokens) throw badVocabulary(`${tokens} tokens, but ${scores.length} scores`);
  const wrong = scores.findIndex((score) => !Number.isFinite(score));
  if (wrong >= 0) throw badVocabulary(`the score of token ${wrong} is ${scores[wrong]}`);
  return scores;
}
