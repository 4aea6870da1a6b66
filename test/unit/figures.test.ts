// Each figure of README.md and docs/ comes from a file of bench/results, which a command of bench/catalogue.mjs makes.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CATALOGUE, entryOf } from '../../bench/catalogue.mjs';
import { documents, readDocument, refreshed, root, tablesIn } from '../../bench/figures/documents.mjs';
import { corrected, figureLinks } from '../../bench/figures/numbers.mjs';
import { TABLES } from '../../bench/figures/tables.mjs';
import { PICTURES } from '../../bench/plots/pictures.mjs';

const results = readdirSync(join(root, 'bench/results')).filter((name) => name.endsWith('.json'));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** What is measured is said in one of these; "%" with a decimal, so that "at most 1 %" of an algorithm may be said. */
const MEASURED = /\d(?:\s?(?:tok\/s|[KMGT]B\/s)|\.\d+\s?%|\.\d+ times)/g;

/** Without what has its own source: tables that are drawn, links to results and to tests, code. */
function unsourced(markdown: string): string[] {
  const rest = markdown
    .replace(/<!-- table [\s\S]*?<!-- end -->/g, '')
    .replace(/```[\s\S]*?```/g, '')
    .replace(/\[[^\]]+\]\([^)\s]*bench\/results\/[^)\s]+#[^)\s]+\)/g, '')
    .replace(/\[[^\]]+\]\([^)\s]*test\/[\w/.-]+\.test\.ts\)/g, '');
  return Array.from(rest.matchAll(MEASURED), ({ index }) => rest.slice(Math.max(0, index - 40), index + 30));
}

describe.each(documents())('%s', (path: string) => {
  const markdown = readDocument(path);

  it('says what bench/results says (npm run figures writes it anew)', () => {
    expect(markdown).toBe(refreshed(markdown));
  });

  it('has no measured figure without a source', () => {
    expect(unsourced(markdown)).toEqual([]);
  });

  it('names only files that exist', () => {
    const links = Array.from(markdown.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g), ([, target]) => target);
    const folder = path.includes('/') ? 'docs' : '.';
    expect(links.filter((target) => !existsSync(join(root, folder, target)))).toEqual([]);
    const code = Array.from(
      markdown.matchAll(/`((?:src|native|kernels|planner|test|bench|scripts|machines|models)\/[\w./-]+)`/g),
      ([, name]) => name,
    );
    expect(code.filter((name) => !existsSync(join(root, name)))).toEqual([]);
  });
});

describe('results', () => {
  it.each(
    results.filter((name) => name !== 'design.json'),
  )('%s has a date, a command, and an entry that makes it', (file) => {
    const [, name] = /^\d{4}-\d\d-\d\d-(.*)\.json$/.exec(file) ?? [];
    expect(name).toBeDefined();
    expect(entryOf(name!).name).not.toBe('');
    const content = JSON.parse(read(`bench/results/${file}`));
    for (const each of [content].flat()) expect(each.command).toMatch(/^(NTX_\w+=\S+ )?(ntx|node) /);
  });

  it('of the design say where they come from', () => {
    expect(JSON.parse(read('bench/results/design.json')).origin).toMatch(/designed/);
  });

  it('are drawn in docs/pictures (npm run plots)', () => {
    for (const [name, picture] of Object.entries(PICTURES)) {
      expect(read(`docs/pictures/${name}`), name).toBe(picture());
    }
  });
});

describe('the catalogue', () => {
  const tables = documents().flatMap((path) => tablesIn(readDocument(path)));

  it('has every table of the documents once, by a command that it knows', () => {
    expect(tables.toSorted()).toEqual(Object.keys(TABLES).toSorted());
    for (const { command } of Object.values(TABLES)) {
      const names = /--only ([\w,-]+)/.exec(command)?.[1].split(',') ?? [];
      expect(command).toMatch(/^npm run bench/);
      for (const name of names) expect(CATALOGUE.map((entry) => entry.name)).toContain(name);
    }
  });

  it('runs scripts that exist, on a machine that has everything', () => {
    const device = { name: 'any', memoryBytes: 80e9 };
    const machine = {
      folder: '/nowhere',
      modelBytes: () => 1e9,
      backends: { cpu: device, cuda: device, webgpu: device },
      cpuVariants: ['avx512', 'avx2'],
      ramBytes: 1e12,
      diskBytes: 1e12,
    };
    for (const { name, plan } of CATALOGUE) {
      for (const quick of [false, true]) {
        const { runs = [] } = plan(machine, quick);
        for (const each of runs) {
          const [script] = 'run' in each ? each.run : each;
          expect(existsSync(join(root, script)), name).toBe(true);
        }
      }
    }
  });

  it('says why a machine without a GPU measures none', () => {
    const missing = { missing: 'there is no GPU' };
    const machine = {
      folder: '/nowhere',
      modelBytes: () => 1e9,
      backends: { cpu: { name: 'any', memoryBytes: 8e9 }, cuda: missing, webgpu: missing },
      cpuVariants: ['portable'],
      ramBytes: 8e9,
      diskBytes: 1e9,
    };
    const outcome = (name: string) => CATALOGUE.find((entry) => entry.name === name)!.plan(machine, false);
    expect(outcome('cuda').skip).toBe('there is no GPU');
    expect(outcome('cpu').skip).toMatch(/models of \d.* GiB have to be written, and \/nowhere has 0.9 GiB/);
    expect(outcome('start').skip).toBeUndefined();
  });
});

describe('figures in links', () => {
  const file = 'design.json';
  const path = 'llamaCpp.llama-8b%20Q8_0.decode';

  it('are found, compared in their unit and corrected', () => {
    const [link] = figureLinks(`it is [about 227 tok/s](../bench/results/${file}#${path}) there`);
    expect(link).toMatchObject({ text: 'about 227 tok/s', file, path });
    expect(corrected(link)).toBeNull();
    expect(corrected({ ...link, text: 'about 1,300 tok/s' })).toBe('about 227 tok/s');
    expect(corrected({ ...link, text: '3.1 %', path: 'aims.diskShareOfPeak' })).toBe('92.0 %');
    expect(() => corrected({ ...link, path: 'llamaCpp.nothing' })).toThrow(/no number/);
    // 227 in the other of the units that rates of memories are kept in.
    expect(corrected({ ...link, text: '0.00 GB/s' })).toBe('227.00 GB/s');
    expect(() => corrected({ ...link, text: '0.00 MB/s' })).toThrow(/in which unit/);
  });

  it('are missed where they are not linked', () => {
    expect(unsourced('decodes at 12.5 tok/s, 3 GB/s or 99.9 %, at most 1 % slower')).toHaveLength(3);
  });
});
