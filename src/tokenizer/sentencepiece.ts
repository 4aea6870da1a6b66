import { Merger } from './merger.js';
import { PairTable } from './pair-table.js';
import type { TextModel } from './text-model.js';
import { badVocabulary, TOKEN_TYPE, type Vocabulary } from './vocabulary.js';
import { WordCache } from './word-cache.js';

/** Stands for a space in the vocabulary. */
const SPACE = '▁';

/** Splitting a token takes the square of its length; the longest in use have 128 characters. */
const MAX_TOKEN_LENGTH = 1024;

/**
 * SentencePiece's BPE: `tokenizer.ggml.model` = llama. Two neighbours merge when their text together is a token, that of
 * the highest score first. Characters without a token become the tokens of their UTF-8 bytes, or the unknown token where
 * the vocabulary lacks those.
 */
export class SentencePieceModel implements TextModel {
  private readonly merger: Merger;
  private readonly words: WordCache;
  /** Token of each character that has one, by code point. */
  private readonly characters = new Map<number, number>();
  private readonly byteTokens = new Int32Array(256).fill(-1);
  /** Code points that follow each other inside some token. */
  private readonly neighbours: PairTable;
  private symbols = new Int32Array(64);

  /** @param scores one for each token, finite */
  constructor(
    private readonly vocabulary: Vocabulary,
    scores: readonly number[],
    private readonly addSpacePrefix: boolean,
  ) {
    const { texts, types, ids } = vocabulary;
    for (const [id, text] of texts.entries()) {
      if (types[id] === TOKEN_TYPE.byte) this.byteTokens[byteOf(id, text)] = id;
    }
    for (const [text, id] of ids) {
      if (isOneCharacter(text)) this.characters.set(text.codePointAt(0)!, id);
    }
    this.neighbours = new PairTable(ids.size);
    this.merger = new Merger(this.readPairs(scores));
    this.words = new WordCache((word, out) => this.encodeWord(word, out));
  }

  /**
   * No merge crosses two characters that stand together in no token, so the text is cut there into words. With Llama's
   * vocabulary that is before every space: the cache then makes SentencePiece as fast as byte-level BPE.
   */
  encode(text: string, ids: number[]): void {
    const escaped = (this.addSpacePrefix ? SPACE + text : text).replaceAll(' ', SPACE);
    let start = 0;
    let before = escaped.codePointAt(0)!;
    for (let at = before > 0xffff ? 2 : 1; at < escaped.length; ) {
      const character = escaped.codePointAt(at)!;
      if (this.neighbours.rank(before, character) < 0) {
        this.words.append(escaped.slice(start, at), ids);
        start = at;
      }
      before = character;
      at += character > 0xffff ? 2 : 1;
    }
    this.words.append(escaped.slice(start), ids);
  }

  bytes(id: number): Uint8Array {
    const text = this.vocabulary.texts[id];
    if (this.vocabulary.types[id] === TOKEN_TYPE.byte) return Uint8Array.of(byteOf(id, text));
    return Buffer.from(text.replaceAll(SPACE, ' '));
  }

  private encodeWord(word: string, ids: number[]): void {
    if (this.symbols.length < word.length) this.symbols = new Int32Array(word.length);
    const { symbols } = this;
    let length = 0;
    for (const character of word) symbols[length++] = this.characterSymbol(character.codePointAt(0)!);
    const count = this.merger.merge(symbols, length);
    for (let i = 0; i < count; i++) {
      if (symbols[i] >= 0) ids.push(symbols[i]);
      else this.pushBytes(String.fromCodePoint(-1 - symbols[i]), ids);
    }
  }

  private pushBytes(character: string, ids: number[]): void {
    const tokens = [...Buffer.from(character)].map((byte) => this.byteTokens[byte]);
    if (!tokens.includes(-1)) ids.push(...tokens);
    else if (this.vocabulary.unknown !== null) ids.push(this.vocabulary.unknown);
  }

  /** -1 - code point for a character without a token: it may still be part of a longer one. */
  private characterSymbol(codePoint: number): number {
    return this.characters.get(codePoint) ?? -1 - codePoint;
  }

  /** Every way to make a token of two symbols, ranked by the token's score; equal scores share a rank. */
  private readPairs(scores: readonly number[]): PairTable {
    const { ids } = this.vocabulary;
    const ranks = new Map([...new Set(scores)].sort((a, b) => b - a).map((score, rank) => [score, rank]));
    const pairs = new PairTable(ids.size * 2);
    for (const [text, id] of ids) {
      if (text.length > MAX_TOKEN_LENGTH) throw badVocabulary(`token ${id} is ${text.length} characters long`);
      const rank = ranks.get(scores[id])!;
      let before = text.codePointAt(0)!;
      for (let at = before > 0xffff ? 2 : 1; at < text.length; ) {
        const character = text.codePointAt(at)!;
        this.neighbours.add(before, character, 0, 0);
        const left = this.symbolOf(text.slice(0, at));
        const right = left === undefined ? undefined : this.symbolOf(text.slice(at));
        if (left !== undefined && right !== undefined) pairs.add(left, right, rank, id);
        before = character;
        at += character > 0xffff ? 2 : 1;
      }
    }
    return pairs;
  }

  private symbolOf(text: string): number | undefined {
    return isOneCharacter(text) ? this.characterSymbol(text.codePointAt(0)!) : this.vocabulary.ids.get(text);
  }
}

/** The byte of a byte token, which is written `<0x0A>`. */
function byteOf(id: number, text: string): number {
  const digits = /^<0x([0-9A-Fa-f]{2})>$/.exec(text);
  if (!digits) throw badVocabulary(`token ${id} is a byte, but its text is '${text.slice(0, 40)}', not like '<0x0A>'`);
  return Number.parseInt(digits[1], 16);
}

function isOneCharacter(text: string): boolean {
  return text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 0xffff);
}
