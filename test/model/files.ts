import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Beside the checkout of ntx's developers; everybody else runs the tests on the models that come with it. */
const SHARED = path('../../../shared');

export const STORIES = path('vectors/stories260k-f32.gguf');
export const FABLE = path('../../models/fable-29m-q4_k_m.gguf');
export const FABLE_DRAFT = path('../../models/fable-5m-q4_k_m.gguf');
/** The first 45 KB of a book that the fable models have not seen (models/CARD.md): more than 20 windows for all here. */
export const HELDOUT = path('vectors/heldout.txt');

/** The file's path, or null where the developers' models are not. */
export function sharedModel(name: string): string | null {
  const file = `${SHARED}/models/${name}`;
  return existsSync(file) ? file : null;
}

/** A golden file's content (made with llama.cpp; the README of the developers' vectors says how), or null. */
export function readGolden(name: string): Golden[] | null {
  const file = [path(`vectors/${name}`), `${SHARED}/vectors/golden/${name}`].find(existsSync);
  return file === undefined ? null : JSON.parse(readFileSync(file, 'utf8'));
}

/** Greedy decoding of a prompt. */
export interface Golden {
  readonly prompt: string;
  readonly prompt_ids: readonly number[];
  /** The token chosen, and the eight largest logits. */
  readonly steps: readonly { readonly id: number; readonly top: readonly (readonly [number, number])[] }[];
  readonly text: string;
}
