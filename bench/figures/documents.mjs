// The documents whose figures and tables come from bench/results.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { corrected, figureLinks } from './numbers.mjs';
import { TABLES } from './tables.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Paths below the root. */
export function documents() {
  const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.map((name) => `docs/${name}`)];
}

export const readDocument = (path) => readFileSync(join(root, path), 'utf8');

const REGION = /<!-- table ([\w-]+)[^>]* -->\n[\s\S]*?<!-- end -->/g;

/** Names of the tables that stand in a document. */
export const tablesIn = (markdown) => Array.from(markdown.matchAll(REGION), ([, name]) => name);

/** The document as bench/results has it: tables drawn anew, figures in links corrected. */
export function refreshed(markdown) {
  let text = markdown.replace(REGION, (_, name) => region(name));
  for (const link of figureLinks(text)) {
    const right = corrected(link);
    if (right !== null) text = text.replace(link.whole, link.whole.replace(`[${link.text}]`, `[${right}]`));
  }
  return text;
}

/** A table between its comments, the first of which names the command and the results that it is made from. */
function region(name) {
  const table = TABLES[name];
  if (table === undefined) throw new Error(`bench/figures/tables.mjs has no table ${name}`);
  const found = table.rows();
  const rows = [table.heads, table.heads.map(() => '---'), ...found];
  const lines = found.length === 0 ? ['Not measured yet.'] : rows.map((row) => `| ${row.join(' | ')} |`);
  return [`<!-- table ${name}: ${table.command} -->`, ...lines, '<!-- end -->'].join('\n');
}
