// Vocabularies for the tests: stored ones, and small ones made here.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { NtxError } from '../../src/errors.js';
import { openGguf } from '../../src/gguf/open.js';
import type { GgufModel, MetadataValue } from '../../src/gguf/types.js';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/index.js';

const FOLDER = new URL('vectors/tokenizer/', import.meta.url);

export function readVector(name: string): string {
  return readFileSync(new URL(name, FOLDER), 'utf8');
}

/** One of the stored vocabularies, read like any other file. */
export async function openVocabulary(name: string): Promise<GgufModel> {
  const folder = mkdtempSync(join(tmpdir(), 'ntx-tokenizer-'));
  try {
    const path = join(folder, `${name}.gguf`);
    writeFileSync(path, brotliDecompressSync(readFileSync(new URL(`${name}.gguf.br`, FOLDER))));
    return await openGguf(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const NORMAL = 1;
export const UNKNOWN = 2;
export const CONTROL = 3;
export const USER = 4;
export const UNUSED = 5;
export const BYTE = 6;

export function gguf(tokenizer: Record<string, MetadataValue>): GgufModel {
  const entries = Object.entries(tokenizer).map(([key, value]) => [`tokenizer.${key}`, value] as const);
  return { files: [], version: 3, metadata: new Map(entries), tensors: new Map() };
}

/** GPT-2's byte alphabet, from its definition: printable Latin-1 stays, the rest follow from U+0100. */
export const byteCharacters: readonly string[] = (() => {
  const ranges = [...span('!', '~'), ...span('¡', '¬'), ...span('®', 'ÿ')];
  const others = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !ranges.includes(byte));
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(ranges.includes(byte) ? byte : 256 + others.indexOf(byte)),
  );
})();

function span(first: string, last: string): number[] {
  const start = first.charCodeAt(0);
  return Array.from({ length: last.charCodeAt(0) - start + 1 }, (_, i) => start + i);
}

/** Metadata of a byte-level vocabulary: all bytes (token = byte), what the merges make, then the special tokens. */
export function byteLevel(
  merges: readonly string[] = [],
  special: readonly (readonly [text: string, type: number])[] = [],
  more: Record<string, MetadataValue> = {},
): Record<string, MetadataValue> {
  const made = [...new Set(merges.map((merge) => merge.replace(' ', '')))];
  const tokens = [...byteCharacters, ...made, ...special.map(([text]) => text)];
  return {
    'ggml.model': 'gpt2',
    'ggml.pre': 'gpt-2',
    'ggml.tokens': tokens,
    'ggml.token_type': tokens.map((_, id) => special[id - 256 - made.length]?.[1] ?? NORMAL),
    'ggml.merges': merges,
    ...more,
  };
}

/** Metadata of a SentencePiece vocabulary: <unk>, <s>, </s>, all bytes, then `pieces` with their scores. */
export function sentencePiece(
  pieces: readonly (readonly [text: string, score: number, type?: number])[],
  more: Record<string, MetadataValue> = {},
): Record<string, MetadataValue> {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  return {
    'ggml.model': 'llama',
    'ggml.tokens': ['<unk>', '<s>', '</s>', ...bytes, ...pieces.map(([text]) => text)],
    'ggml.token_type': [UNKNOWN, CONTROL, CONTROL, ...bytes.map(() => BYTE), ...pieces.map(([, , type]) => type ?? 1)],
    'ggml.scores': [...new Array<number>(259).fill(0), ...pieces.map(([, score]) => score)],
    ...more,
  };
}

export function make(tokenizer: Record<string, MetadataValue>): Tokenizer {
  return createTokenizer(gguf(tokenizer));
}

export function errorOf(run: () => unknown): NtxError {
  try {
    run();
  } catch (error) {
    if (error instanceof NtxError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
