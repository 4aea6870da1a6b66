import { describe, expect, it } from 'vitest';
import { NtxError } from '../../src/errors.js';
import {
  formatMetadataValue,
  getBoolean,
  getBooleanOr,
  getNumber,
  getNumberArray,
  getNumberOr,
  getString,
  getStringArray,
  getStringOr,
} from '../../src/gguf/metadata.js';
import type { MetadataValue } from '../../src/gguf/types.js';

const metadata = new Map<string, MetadataValue>([
  ['text', 'llama'],
  ['count', 32],
  ['huge', 2n ** 63n],
  ['flag', true],
  ['words', ['a', 'b']],
  ['numbers', [1, 2.5]],
  ['none', []],
  ['mixed', [1, 2n ** 60n]],
]);
const model = { metadata };

describe('typed values', () => {
  it('gives values of the expected type', () => {
    expect(getString(model, 'text')).toBe('llama');
    expect(getNumber(model, 'count')).toBe(32);
    expect(getBoolean(model, 'flag')).toBe(true);
    expect(getStringArray(model, 'words')).toEqual(['a', 'b']);
    expect(getNumberArray(model, 'numbers')).toEqual([1, 2.5]);
    expect(getStringArray(model, 'none')).toEqual([]);
    expect(getNumberArray(model, 'none')).toEqual([]);
  });

  it('takes the fallback only when the key is missing', () => {
    expect(getStringOr(model, 'absent', null)).toBeNull();
    expect(getStringOr(model, 'text', null)).toBe('llama');
    expect(getNumberOr(model, 'absent', 5)).toBe(5);
    expect(getNumberOr(model, 'count', 5)).toBe(32);
    expect(getBooleanOr(model, 'absent', undefined)).toBeUndefined();
    expect(getBooleanOr(model, 'flag', false)).toBe(true);
    expect(() => getNumberOr(model, 'text', 5)).toThrow(NtxError);
  });

  it.each([
    [() => getString(model, 'absent'), "'absent'", 'expected a string'],
    [() => getString(model, 'count'), "'count' should be a string", 'it is 32'],
    [() => getNumber(model, 'text'), "'text' should be a number", '"llama"'],
    [() => getNumber(model, 'huge'), "'huge' should be a number", '9223372036854775808'],
    [() => getBoolean(model, 'count'), 'a boolean', '32'],
    [() => getStringArray(model, 'text'), 'an array of strings', '"llama"'],
    [() => getStringArray(model, 'numbers'), 'an array of strings', '[1, 2.5]'],
    [() => getNumberArray(model, 'words'), 'an array of numbers', '["a", "b"]'],
    [() => getNumberArray(model, 'mixed'), 'an array of numbers', '1152921504606846976'],
  ])('names key, expected type and what came: %#', (get, ...words) => {
    let caught: unknown;
    try {
      get();
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(NtxError);
    for (const word of words) expect((caught as NtxError).message).toContain(word);
    expect((caught as NtxError).code).toBe('bad-file');
  });
});

describe('values for people', () => {
  it.each<[string, MetadataValue]>([
    ['"a \\"b\\"\\n"', 'a "b"\n'],
    ['1.5', 1.5],
    ['18446744073709551615', 2n ** 64n - 1n],
    ['false', false],
    ['[]', []],
    ['[1, 2]', [1, 2]],
    ['[[1], ["x"]]', [[1], ['x']]],
  ])('%s', (shown, value) => {
    expect(formatMetadataValue(value)).toBe(shown);
  });

  it('cuts long values and says how long they are', () => {
    const template = formatMetadataValue('x'.repeat(5000), 40);
    expect(template).toMatch(/^"x{40}…" \(5000 characters\)$/);
    const tokens = formatMetadataValue(
      Array.from({ length: 128_256 }, (_, i) => `token${i}`),
      60,
    );
    expect(tokens).toMatch(/^\["token0", "token1", .*, …\] \(128256 elements\)$/);
    expect(tokens.length).toBeLessThan(120);
  });
});
