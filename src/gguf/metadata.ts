import { NtxError } from '../errors.js';
import type { GgufModel, MetadataValue } from './types.js';

type Holder = Pick<GgufModel, 'metadata'>;

/** @throws NtxError `bad-file` when the key is missing or not a string. The other getters do likewise for their types. */
export function getString(model: Holder, key: string): string {
  return get(model, key, 'a string', isString);
}

export function getStringOr<T>(model: Holder, key: string, fallback: T): string | T {
  return model.metadata.has(key) ? getString(model, key) : fallback;
}

/** Integers past 2^53 are refused: none of the numbers that a model is described with comes near. */
export function getNumber(model: Holder, key: string): number {
  return get(model, key, 'a number', isNumber);
}

export function getNumberOr<T>(model: Holder, key: string, fallback: T): number | T {
  return model.metadata.has(key) ? getNumber(model, key) : fallback;
}

export function getBoolean(model: Holder, key: string): boolean {
  return get(model, key, 'a boolean', isBoolean);
}

export function getBooleanOr<T>(model: Holder, key: string, fallback: T): boolean | T {
  return model.metadata.has(key) ? getBoolean(model, key) : fallback;
}

export function getStringArray(model: Holder, key: string): readonly string[] {
  return get(model, key, 'an array of strings', (value) => isArrayOf(value, isString));
}

export function getNumberArray(model: Holder, key: string): readonly number[] {
  return get(model, key, 'an array of numbers', (value) => isArrayOf(value, isNumber));
}

/**
 * A metadata value on one line for a person: strings quoted, control characters escaped, long ones cut with their length,
 * of arrays the length and the first elements.
 * @param limit characters, about
 */
export function formatMetadataValue(value: MetadataValue, limit = 100): string {
  if (typeof value === 'string') {
    const shown = JSON.stringify(value.slice(0, limit));
    return value.length > limit ? `${shown.slice(0, -1)}…" (${value.length} characters)` : shown;
  }
  if (!Array.isArray(value)) return String(value);
  const items = value as readonly MetadataValue[];
  let text = '';
  let shown = 0;
  for (; shown < items.length && text.length < limit; shown++) {
    text += `${shown === 0 ? '' : ', '}${formatMetadataValue(items[shown], Math.max(8, limit - text.length))}`;
  }
  return shown < items.length ? `[${text}, …] (${items.length} elements)` : `[${text}]`;
}

function get<T extends MetadataValue>(
  { metadata }: Holder,
  key: string,
  expected: string,
  matches: (value: MetadataValue) => value is T,
): T {
  const value = metadata.get(key);
  if (value === undefined) {
    throw new NtxError(
      'bad-file',
      `The model's metadata lacks the key '${key}' (expected ${expected}).`,
      'The file is incomplete or was made by another kind of converter: use a file converted by a current llama.cpp.',
    );
  }
  if (!matches(value)) {
    throw new NtxError(
      'bad-file',
      `The model's metadata key '${key}' should be ${expected}, but it is ${formatMetadataValue(value, 60)}.`,
      'Use a file of this model that was converted by a current llama.cpp.',
    );
  }
  return value;
}

function isString(value: MetadataValue): value is string {
  return typeof value === 'string';
}

function isNumber(value: MetadataValue): value is number {
  return typeof value === 'number';
}

function isBoolean(value: MetadataValue): value is boolean {
  return typeof value === 'boolean';
}

function isArrayOf<T extends MetadataValue>(
  value: MetadataValue,
  matches: (item: MetadataValue) => item is T,
): value is readonly (string | number | bigint | boolean)[] & readonly T[] {
  return Array.isArray(value) && value.every((item) => matches(item));
}
