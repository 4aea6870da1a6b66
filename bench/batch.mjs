// How fast do several sequences decode together, one row of each in a pass?
//
//   node bench/batch.mjs MODEL.gguf [backend] [1,2,4,8,16] [--save]
import { basename } from 'node:path';
import { createBackend } from '../dist/backend/index.js';
import { describeMachine } from '../dist/cli/machine.js';
import { createForward } from '../dist/load-forward.js';
import { openModel } from '../dist/open-model.js';
import { saveResult } from './save.mjs';

const isFlag = (word) => word === '--save';
const [path, backendName = 'cuda', list = '1,2,4,8,16'] = process.argv.slice(2).filter((word) => !isFlag(word));
const counts = list.split(',').map(Number);
const most = Math.max(...counts);
const PASSES = 64;
const CONTEXT = 512;

const opened = await openModel(path);
const backend = await createBackend({ backend: backendName });
const sizes = { maxRows: most, maxOutputs: most, slots: most, context: CONTEXT };
const { forward } = await createForward(opened, backend, sizes);

/** Decodes a token of each of `count` sequences at `position`. */
async function pass(count, position) {
  forward.step.clear();
  for (let slot = 0; slot < count; slot++) {
    const token = (position * 7919 + slot * 104729) % opened.model.config.vocabulary;
    forward.step.addOutput(forward.step.addRow(token, position, slot));
  }
  await forward.pass();
}

let single = 0;
const results = [];
for (const count of counts) {
  for (let position = 0; position < 8; position++) await pass(count, position);
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < 3; repeat++) {
    const started = performance.now();
    for (let position = 8; position < 8 + PASSES; position++) await pass(count, position);
    best = Math.min(best, (performance.now() - started) / PASSES);
  }
  const rate = (1000 * count) / best;
  if (single === 0) single = rate / count;
  results.push({ sequences: count, tokensPerSecond: rate, timesOne: rate / single, passSeconds: best / 1000 });
  console.log(
    `${backend.device.name}: ${count} sequences ${rate.toFixed(0)} tok/s, ${(rate / single).toFixed(2)} times one; ` +
      `${best.toFixed(3)} ms a pass`,
  );
}
if (process.argv.some(isFlag)) {
  const model = basename(path);
  const result = { machine: describeMachine(), device: backend.device, model, results };
  saveResult(`batch-${basename(path, '.gguf')}-${backendName}`, result);
}
await backend.dispose();
