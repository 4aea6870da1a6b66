// What documents say of the tree is so: files that they name, variables, commands.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** Files below a folder, by their paths from the root. */
function filesIn(folder: string): string[] {
  const paths = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return paths
    .map((path) => `${folder}/${path}`)
    .filter((path) => !path.includes('vectors') && statSync(join(root, path)).isFile());
}

const sources = ['src', 'native', 'planner', 'kernels', 'scripts', 'bench', 'test'].flatMap(filesIn);
const named = (path: string, pattern: RegExp) => Array.from(read(path).matchAll(pattern), ([, name]) => name);

describe('docs/architecture.md', () => {
  it('names files that exist, by their path or by their name', () => {
    const names = named('docs/architecture.md', /`([\w./-]+\.(?:ts|mjs|h|cc|cu|wgsl))`/g);
    expect(names.length).toBeGreaterThan(40);
    const missing = names.filter((name) => !sources.some((path) => path === name || path.endsWith(`/${name}`)));
    expect(missing).toEqual([]);
  });

  it('goes the whole way of a token', () => {
    const rooms = readdirSync(join(root, 'src')).filter((name) => statSync(join(root, 'src', name)).isDirectory());
    const text = read('docs/architecture.md');
    // The program's own face, and files of random weights: no stop of a token.
    const stops = rooms.filter((name) => name !== 'synth');
    expect(stops.filter((room) => !text.includes(`src/${room}/`) && !text.includes(`src/${room}\``))).toEqual([]);
  });
});

describe('CONTRIBUTING.md', () => {
  it('tells what every variable named NTX_ is for, and no other', () => {
    const inCode = (path: string) =>
      /\.(ts|mjs|cc|cu|cuh|h|json|txt)$/.test(path) && !path.startsWith('bench/results/');
    const own = sources.filter((path) => !path.includes('third-party'));
    const files = [...own.filter(inCode), 'CMakeLists.txt', 'vitest.config.ts', 'package.json'];
    const text = files.map(read).join('\n');
    const macros = new Set(Array.from(text.matchAll(/#define (NTX_\w+)\(/g), ([, name]) => name));
    const found = new Set((text.match(/\bNTX_[A-Z][A-Z_]*\b/g) ?? []).filter((name) => !macros.has(name)));
    const told = new Set(read('CONTRIBUTING.md').match(/\bNTX_[A-Z_]+\b/g));
    expect([...found].filter((name) => !told.has(name)).toSorted()).toEqual([]);
    expect([...told].filter((name) => !found.has(name)).toSorted()).toEqual([]);
  });

  it('names scripts of package.json', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const documents = ['README.md', 'CONTRIBUTING.md', ...filesIn('docs').filter((path) => path.endsWith('.md'))];
    const names = documents.flatMap((path) => named(path, /npm run ([\w:]+)/g));
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => !(name in scripts))).toEqual([]);
  });

  it('and the other documents name files and folders that exist', () => {
    const paths = named('CONTRIBUTING.md', /`((?:src|native|test|bench|scripts)\/[\w./-]+)`/g);
    expect(paths.length).toBeGreaterThan(8);
    for (const path of paths) expect(() => statSync(join(root, path)), path).not.toThrow();
  });
});
