// Documents that tell how to add something are followed to the letter: their changes are made in a copy of the tree, which has to
// compile, and the tests that they show have to pass there.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { copyTree, follow, patched, type Step, stepsOf } from './recipe.js';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const copy = join(root, 'build', `recipes-${process.pid}`);
const names = readdirSync(join(root, 'docs')).filter((name) => /^adding-.*\.md$/.test(name));
const recipes = names.map((name) => ({ name, steps: stepsOf(readFileSync(join(root, 'docs', name), 'utf8')) }));
const testsOf = (steps: readonly Step[]) =>
  steps.filter(({ file }) => file.endsWith('.test.ts')).map(({ file }) => file);

beforeAll(() => {
  copyTree(root, copy);
  for (const { steps } of recipes) follow(steps, copy);
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

/** What a tool of node_modules prints, and its status. */
function runTool(script: string, ...args: string[]): Promise<{ status: number | null; output: string }> {
  const child = spawn(process.execPath, [join(root, 'node_modules', script), ...args], {
    cwd: copy,
    // The tests of the copy are a run of their own.
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1' },
  });
  let output = '';
  child.stdout.on('data', (piece) => (output += piece));
  child.stderr.on('data', (piece) => (output += piece));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, output }));
  });
}

describe('recipes', () => {
  it('are there for an op, a quantisation, an architecture and a backend, each with a test', () => {
    expect(names.toSorted()).toEqual([
      ...['adding-a-backend.md', 'adding-a-quantisation.md', 'adding-an-architecture.md', 'adding-an-op.md'],
    ]);
    for (const { name, steps } of recipes) expect(testsOf(steps), name).toHaveLength(1);
  });

  it('compile together', async () => {
    const { status, output } = await runTool('typescript/bin/tsc', '-p', 'tsconfig.json', '--noEmit');
    expect(output).toBe('');
    expect(status).toBe(0);
  }, 180_000);

  it('pass their own tests', async () => {
    const files = recipes.flatMap(({ steps }) => testsOf(steps));
    const { status, output } = await runTool('vitest/vitest.mjs', 'run', '--root', copy, '--reporter=json', ...files);
    expect(status, output).toBe(0);
    const { testResults } = JSON.parse(output.slice(output.indexOf('{'))) as {
      testResults: { name: string; assertionResults: { status: string }[] }[];
    };
    expect(testResults.map(({ name }) => name.slice(copy.length + 1)).toSorted()).toEqual(files.toSorted());
    for (const { name, assertionResults } of testResults) {
      expect(assertionResults.length, name).toBeGreaterThan(0);
      expect(
        assertionResults.every(({ status }) => status === 'passed'),
        name,
      ).toBe(true);
    }
  }, 180_000);
});

describe('a step that the tree has outgrown', () => {
  it('is told', () => {
    expect(patched('a\nb\nc\n', ' a\n-b\n+d\n')).toBe('a\nd\nc\n');
    expect(() => patched('a\nc\n', ' a\n-b\n+d\n')).toThrow(/found 0 times/);
    expect(() => patched('a\na\n', '-a\n+b\n')).toThrow(/found 2 times/);
  });
});
