// Runs compiled test files with vitest's own runner, without the rest of vitest.
//
//   node suites.mjs [--only PATTERN] FILE.test.js...
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { startTests } from '@vitest/runner';

const TIMEOUT_MS = 120_000;
const { values, positionals } = parseArgs({ options: { only: { type: 'string' } }, allowPositionals: true });

const config = {
  root: process.cwd(),
  setupFiles: [],
  sequence: { seed: 0, shuffle: false, concurrent: false, hooks: 'stack', setupFiles: 'list' },
  testNamePattern: values.only === undefined ? undefined : new RegExp(values.only),
  maxConcurrency: 1,
  testTimeout: TIMEOUT_MS,
  hookTimeout: TIMEOUT_MS,
  retry: 0,
  tags: [],
};
const files = await startTests(
  positionals.map((file) => ({ filepath: resolve(file), fileTags: [] })),
  { config, importFile: (file) => import(pathToFileURL(file).href) },
);

let passed = 0;
let failed = 0;
function count(task, path) {
  const errors = task.result?.errors ?? [];
  if (task.type === 'test' && task.result?.state === 'pass') passed++;
  else if (errors.length > 0) {
    failed++;
    console.log(`FAILED ${[...path, task.name].join(' > ')}\n  ${errors.map(({ message }) => message).join('\n  ')}`);
  }
  for (const child of task.tasks ?? []) count(child, [...path, task.name]);
}
for (const file of files) count(file, []);
console.log(`${passed} tests passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
