import { Merger } from './merger.js';
import { PairTable } from './pair-table.js';
import type { PreTokenizer } from './pre-tokenizer.js';
import type { TextModel } from './text-model.js';
import { badVocabulary, type Vocabulary } from './vocabulary.js';
import { WordCache } from './word-cache.js';

/**
 * GPT-2's byte alphabet, in which byte-level vocabularies are written: printable Latin-1 bytes are themselves, the other
 * bytes in order are the characters from U+0100.
 */
const BYTE_CHARACTERS = byteAlphabet();
const BYTES = new Map(BYTE_CHARACTERS.map((character, byte) => [character.charCodeAt(0), byte]));

/** Byte-level BPE: `tokenizer.ggml.model` = gpt2. */
export class ByteLevelModel implements TextModel {
  private readonly merger: Merger;
  private readonly words: WordCache;
  private readonly longestToken: number;
  /** Token of each byte; -1 - byte for one that has none, which never merges. */
  private readonly byteSymbols: Int32Array;
  private symbols = new Int32Array(64);

  /** @param merges pairs "left right" in order of rank */
  constructor(
    private readonly vocabulary: Vocabulary,
    merges: readonly string[],
    private readonly preTokenizer: PreTokenizer,
  ) {
    const { ids } = vocabulary;
    this.merger = new Merger(readMerges(merges, ids));
    this.byteSymbols = Int32Array.from(BYTE_CHARACTERS, (character, byte) => ids.get(character) ?? -1 - byte);
    this.longestToken = vocabulary.texts.reduce((longest, text) => Math.max(longest, text.length), 0);
    this.words = new WordCache((word, out) => this.encodeWord(word, out));
  }

  encode(text: string, ids: number[]): void {
    this.preTokenizer.split(text, (word) => this.words.append(word, ids));
  }

  /** A token with a character outside the byte alphabet is taken as it is written. */
  bytes(id: number): Uint8Array {
    const text = this.vocabulary.texts[id];
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) {
      const byte = BYTES.get(text.charCodeAt(i));
      if (byte === undefined) return Buffer.from(text);
      bytes[i] = byte;
    }
    return bytes;
  }

  private encodeWord(word: string, ids: number[]): void {
    const bytes = Buffer.from(word);
    if (this.preTokenizer.ignoreMerges && bytes.length <= this.longestToken) {
      let text = '';
      for (const byte of bytes) text += BYTE_CHARACTERS[byte];
      const whole = this.vocabulary.ids.get(text);
      if (whole !== undefined) {
        ids.push(whole);
        return;
      }
    }
    if (this.symbols.length < bytes.length) this.symbols = new Int32Array(bytes.length);
    const { symbols } = this;
    for (let i = 0; i < bytes.length; i++) symbols[i] = this.byteSymbols[bytes[i]];
    const count = this.merger.merge(symbols, bytes.length);
    for (let i = 0; i < count; i++) {
      if (symbols[i] >= 0) ids.push(symbols[i]);
      else if (this.vocabulary.unknown !== null) ids.push(this.vocabulary.unknown);
    }
  }
}

/** A merge of or into something that plain text may not become is left out: it could never show in the result. */
function readMerges(merges: readonly string[], ids: ReadonlyMap<string, number>): PairTable {
  // Ranks have to stay below 2^20 (merger.ts).
  if (merges.length > 2 ** 20) throw badVocabulary(`it has ${merges.length} merges, more than any vocabulary needs`);
  const pairs = new PairTable(merges.length);
  for (const [rank, merge] of merges.entries()) {
    const space = merge.indexOf(' ', 1);
    if (space < 0) throw badVocabulary(`merge ${rank} is '${merge.slice(0, 40)}', not two parts with a space between`);
    const leftText = merge.slice(0, space);
    const rightText = merge.slice(space + 1);
    const left = ids.get(leftText);
    const right = ids.get(rightText);
    const merged = ids.get(leftText + rightText);
    if (left !== undefined && right !== undefined && merged !== undefined) pairs.add(left, right, rank, merged);
  }
  return pairs;
}

function byteAlphabet(): string[] {
  let other = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : other++);
  });
}
