// Figures in documents are links to the field that they come from: [2.29 tok/s](../bench/results/FILE.json#decode.best). What such
// a link says is the field's value in the unit that is written, rounded to as many digits as are written.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RESULTS } from '../save.mjs';

/** What a field is multiplied with to be in a unit. Rates of memories are kept in bytes or in gigabytes. */
const SCALES = {
  '%': [100],
  'GB/s': [1e-9, 1],
  'MB/s': [1e-6],
  GB: [1e-9],
  MiB: [2 ** -20],
  GiB: [2 ** -30],
  ms: [1000],
};

const cache = new Map();

/** A file of bench/results, by its name. */
export function result(file) {
  if (!cache.has(file)) cache.set(file, JSON.parse(readFileSync(join(RESULTS, file), 'utf8')));
  return cache.get(file);
}

/** { name, file } of every kind of result that matches, in the order of their names: the newest of each. */
export function newest(pattern) {
  const files = new Map();
  for (const file of readdirSync(RESULTS).sort()) {
    const [, name] = /^\d{4}-\d\d-\d\d-(.*)\.json$/.exec(file) ?? [];
    if (name !== undefined && pattern.test(name)) files.set(name, file);
  }
  return Array.from(files, ([name, file]) => ({ name, file }));
}

/** A field by its path ("0.decode.best"); keys may have spaces, written as %20. Throws where there is none. */
export function field(file, path) {
  const value = decodeURIComponent(path)
    .split('.')
    .reduce((object, key) => object?.[key], result(file));
  if (typeof value !== 'number') throw new Error(`${file} has no number ${path}`);
  return value;
}

/** 1234.5 with one decimal: "1,234.5". */
export function digits(value, decimals = 0) {
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** With about `count` digits that say something: 2.29, 39.2, 1,132. */
export function significant(value, count = 3) {
  return digits(value, Math.max(0, count - 1 - Math.floor(Math.log10(Math.abs(value)))));
}

/** Links to fields in a Markdown text: { text, file, path }. */
export function figureLinks(markdown) {
  const links = markdown.matchAll(/\[([^\]]+)\]\([^)\s]*bench\/results\/([^)#\s]+\.json)#([^)\s]+)\)/g);
  return Array.from(links, ([whole, text, file, path]) => ({ whole, text, file, path }));
}

/**
 * What a link should say instead of `text`, or null where it is right already. Throws where all digits of it would be zeros, though
 * the field is not: then the unit is missing, or another one is meant.
 */
export function corrected({ text, file, path }) {
  const found = /(-?[\d,]*\d(?:\.(\d+))?)(?:\s*([a-zA-Z%][\w/%]*))?/.exec(text);
  if (found === null) throw new Error(`the link "${text}" to ${file}#${path} has no number`);
  const [, number, fraction = '', unit = ''] = found;
  const scales = SCALES[unit] ?? [1];
  const value = field(file, path);
  const values = scales.map((scale) => digits(value * scale, fraction.length));
  const isEmpty = (written) => value !== 0 && /^[-0.]+$/.test(written);
  if (values.includes(number) && !isEmpty(number)) return null;
  const better = values.find((written) => !isEmpty(written));
  if (better === undefined)
    throw new Error(`the link "${text}" to ${file}#${path} says nothing: ${value}, in which unit?`);
  return text.slice(0, found.index) + better + text.slice(found.index + number.length);
}
