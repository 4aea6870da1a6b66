// How fast is a model here and through node-llama-cpp (llama.cpp), in the same run? Rounds alternate, each in a process of its own;
// the best of each counts. Loading is what a user waits for until a model and its context are ready, of a file that was read
// before. node-llama-cpp is installed on demand, apart from the project (install.mjs).
//
//   node bench/compare/compare.mjs MODEL [--backend cpu|cuda] [--threads N] [--rounds 3] [--tokens 64] [--prompt-tokens 512] [--save]
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { basename, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from '../../dist/cli/machine.js';
import { openModel } from '../../dist/open-model.js';
import { saveResult } from '../save.mjs';
import { llamaPackage, VERSION } from './install.mjs';

const { values, positionals } = parseArgs({
  options: {
    backend: { type: 'string', default: 'cpu' },
    threads: { type: 'string', default: `${availableParallelism()}` },
    rounds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '64' },
    'prompt-tokens': { type: 'string', default: '512' },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

/** A quiet machine repeats itself within a tenth. */
const MOST_SPREAD = 1.25;

function fail(message) {
  console.error(`compare: ${message}`);
  process.exit(1);
}

if (positionals[0] === undefined) fail('which model? node bench/compare/compare.mjs MODEL');
const path = resolve(positionals[0]);
const { model } = await openModel(path);
const round = {
  ...{ path, backend: values.backend, threads: Number(values.threads), vocabulary: model.config.vocabulary, repeat: 3 },
  ...{ promptTokens: Number(values['prompt-tokens']), tokens: Number(values.tokens) },
};
try {
  round.package = llamaPackage(values.backend === 'cuda');
} catch (error) {
  fail(error.message);
}

/** Reads the file once, so that neither side finds it colder than the other. */
function warm() {
  const fd = openSync(path, 'r');
  const piece = Buffer.alloc(1 << 22);
  while (readSync(fd, piece) > 0);
  closeSync(fd);
}

function once(script) {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [file, JSON.stringify(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status !== 0) fail(`${script} ended with status ${status}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

const SIDES = { ntx: './ntx.mjs', llama: './llama.mjs' };
const rounds = { ntx: [], llama: [] };
warm();
// On a machine that others use, waiting for each other costs engines unequally: this says how busy it was.
const loadBefore = loadavg()[0];
for (let i = 0; i < Number(values.rounds); i++) {
  for (const [side, script] of Object.entries(SIDES)) rounds[side].push(once(script));
}

const most = (side, key) => Math.max(...rounds[side].map((each) => each[key]));
const least = (side, key) => Math.min(...rounds[side].map((each) => each[key]));
const best = (side) => ({
  ...rounds[side][0],
  decodeTokensPerSecond: most(side, 'decodeTokensPerSecond'),
  promptTokensPerSecond: most(side, 'promptTokensPerSecond'),
  loadSeconds: least(side, 'loadSeconds'),
});
const [ntx, llama] = [best('ntx'), best('llama')];
const ratios = {
  decode: ntx.decodeTokensPerSecond / llama.decodeTokensPerSecond,
  prompt: ntx.promptTokensPerSecond / llama.promptTokensPerSecond,
  load: llama.loadSeconds / ntx.loadSeconds,
};
const rate = (perSecond) => perSecond.toPrecision(4).padStart(8);
console.log(`${basename(path)} on ${ntx.device}, ${values.rounds} rounds; node-llama-cpp ${VERSION}`);
console.log(`                      ntx   node-llama-cpp   times as fast`);
for (const [name, key] of Object.entries({ decode: 'decodeTokensPerSecond', prompt: 'promptTokensPerSecond' })) {
  console.log(`${name.padEnd(7)} tok/s ${rate(ntx[key])}      ${rate(llama[key])}      ${ratios[name].toFixed(2)}`);
}
console.log(`load    s     ${rate(ntx.loadSeconds)}      ${rate(llama.loadSeconds)}      ${ratios.load.toFixed(2)}`);
/** How much slower the slowest of a side's rounds was than its fastest. */
const spread = (side, key) => most(side, key) / least(side, key);
const spreads = Object.fromEntries(
  Object.keys(SIDES).map((side) => [
    side,
    { decode: spread(side, 'decodeTokensPerSecond'), prompt: spread(side, 'promptTokensPerSecond') },
  ]),
);
const widest = Math.max(...Object.values(spreads).flatMap(Object.values));
if (widest > MOST_SPREAD) {
  fail(
    `rounds of one side differ by ${widest.toFixed(2)} times: other work on this machine was measured, nothing is kept`,
  );
}
if (values.save) {
  saveResult(`compare-${basename(path, '.gguf')}-${values.backend}`, {
    machine: describeMachine(),
    model: basename(path),
    options: values,
    loadBefore,
    nodeLlamaCpp: VERSION,
    ...{ ntx, llama, ratios, spreads, rounds },
  });
}
