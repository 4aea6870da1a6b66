// Runs every benchmark that this machine can, one after the other, and keeps the results in bench/results. What cannot run is
// named with the reason. Models are random ones of real shapes, written once with `ntx synth`. Needs dist/ (npm run build).
//
//   npm run bench -- [--only NAME,NAME] [--quick] [--list] [--folder FOLDER]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CATALOGUE } from './catalogue.mjs';
import { modelPath } from './models.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    folder: { type: 'string', default: process.env.MODELS ?? join(tmpdir(), 'ntx-bench') },
  },
});

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(2);
}

if (!existsSync(join(root, 'dist/main.js'))) fail('dist/ is not there: npm run build makes it');
const { machineFacts } = await import('./machine-facts.mjs');

const wanted = values.only?.split(',') ?? CATALOGUE.map(({ name }) => name);
const unknown = wanted.filter((name) => !CATALOGUE.some((entry) => entry.name === name));
if (unknown.length > 0)
  fail(`no benchmark is called ${unknown.join(', ')}; there are ${CATALOGUE.map(({ name }) => name).join(', ')}`);

mkdirSync(values.folder, { recursive: true });
const machine = await machineFacts(values.folder);
for (const [name, found] of Object.entries(machine.backends)) console.log(`${name}: ${found.name ?? found.missing}`);
console.log(
  `${(machine.ramBytes / 2 ** 30).toFixed(1)} GiB of RAM and ${(machine.diskBytes / 2 ** 30).toFixed(1)} GiB of disk are free\n`,
);

/** Whether it ended well. */
function run(args, environment = {}) {
  const [script, ...rest] = args;
  const { status } = spawnSync(process.execPath, [join(root, script), ...rest], {
    stdio: ['ignore', 'inherit', 'inherit'],
    cwd: root,
    env: { ...process.env, ...environment },
  });
  return status === 0;
}

function runEntry({ models, runs }) {
  for (const model of models) {
    const path = modelPath(machine, model);
    const [shape, type] = model;
    if (!existsSync(path) && !run(['dist/main.js', 'synth', shape, path, '--type', type])) return false;
  }
  // All of them, so that one that fails does not hide the others.
  return runs
    .map((each) => (Array.isArray(each) ? run(each) : run(each.run, { NTX_CPU: each.NTX_CPU })))
    .every(Boolean);
}

const outcomes = [];
for (const entry of CATALOGUE.filter(({ name }) => wanted.includes(name))) {
  const plan = entry.plan(machine, values.quick);
  const started = performance.now();
  let outcome;
  if (plan.skip !== undefined) outcome = `left out: ${plan.skip}`;
  else if (values.list) outcome = `can run: ${entry.question}`;
  else {
    console.log(`--- ${entry.name}: ${entry.question}`);
    outcome = runEntry(plan) ? `done in ${((performance.now() - started) / 1000).toFixed(0)} s` : 'FAILED';
  }
  outcomes.push({ name: entry.name, outcome });
}
console.log(values.list ? '' : '\n---');
for (const { name, outcome } of outcomes) console.log(`${name.padEnd(14)} ${outcome}`);
if (!values.list) console.log('\nnpm run figures and npm run plots write results into the documents');
if (outcomes.some(({ outcome }) => outcome === 'FAILED')) process.exitCode = 1;
