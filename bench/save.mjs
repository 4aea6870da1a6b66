// Keeping a result: dated JSON in bench/results, with the command that made it and the machine that it was made on. Tables,
// pictures and the figures in documents are made from these files and from nothing else (bench/figures).
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
export const RESULTS = join(root, 'bench/results');

/** The command of this process as one would type it in the repository; models by their names, wherever they lie. */
export function ownCommand() {
  const [script, ...args] = process.argv.slice(1);
  const words = args.map((word) => (/\.gguf$|\.txt$|\/expected|\/golden/.test(word) ? basename(word) : word));
  return ['node', relative(root, script), ...words.filter((word) => !/^\//.test(word))].join(' ');
}

/** Writes bench/results/DATE-NAME.json; objects begin with the command. Returns the file's name. */
export function saveResult(name, result, date = new Date().toISOString()) {
  mkdirSync(RESULTS, { recursive: true });
  const stamped = (each) => ({ command: ownCommand(), date, ...each });
  const content = Array.isArray(result) ? result.map(stamped) : stamped(result);
  const file = `${date.slice(0, 10)}-${name}.json`;
  writeFileSync(join(RESULTS, file), `${JSON.stringify(content, null, 1)}\n`);
  console.log(`kept in bench/results/${file}`);
  return file;
}
