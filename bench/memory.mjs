// Does a process grow while it decodes? Generates with a model (default: the embedded one) and compares what the
// process holds after the first thousand, when every pool has found its size, with what it holds after the last. Exits with 1
// where it has grown by more than 32 MiB. Needs dist/ (npm run build:ts).
//
//   node bench/memory.mjs [MODEL] [--backend NAME] [--adapter NAME] [--tokens 10000] [--context 512] [--save]

import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describeMachine } from '../dist/cli/machine.js';
import { loadModel } from '../dist/index.js';
import { generated } from './generated.mjs';
import { saveResult } from './save.mjs';

const { values, positionals } = parseArgs({
  options: {
    backend: { type: 'string', default: 'auto' },
    adapter: { type: 'string' },
    tokens: { type: 'string', default: '10000' },
    context: { type: 'string', default: '512' },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

const SETTLED = 1000;
const MOST_GROWTH = 32 << 20;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** Without what only waits to be collected. */
function memory() {
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heapUsed, external };
}

const total = Number(values.tokens);
if (!(total > SETTLED)) throw new Error(`--tokens: expected more than ${SETTLED}, got ${values.tokens}`);
const context = Number(values.context);
const model = await loadModel(positionals[0], { backend: values.backend, adapter: values.adapter, context });
const { config, device } = model;
const started = performance.now();
let settled = null;
let done = 0;
for await (const _ of generated(model, total)) if (++done === SETTLED) settled = memory();
const last = memory();
const seconds = (performance.now() - started) / 1000;
await model.dispose();

const growth = last.rss - settled.rss;
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const line = ({ rss, heapUsed, external }) =>
  `${mebibytes(rss)} resident, ${mebibytes(heapUsed)} of JavaScript, ${mebibytes(external)} outside of it`;
console.log(`${config.name} on ${device.name}, ${total} tokens in ${seconds.toFixed(1)} s`);
console.log(`after ${SETTLED} tokens: ${line(settled)}`);
console.log(`after ${total} tokens: ${line(last)}`);
console.log(`grown by ${mebibytes(growth)}`);
if (values.save) {
  const name = positionals[0] === undefined ? 'embedded' : basename(positionals[0], '.gguf');
  const facts = { machine: describeMachine(), device, model: name, tokens: total, seconds, settled, last, growth };
  saveResult(`memory-${name}-${device.backend}`, facts);
}
if (growth > MOST_GROWTH) process.exitCode = 1;
