// How much of a decoded token is JavaScript's own time, and does anything grow over many tokens?
//
//   node bench/js-share.mjs MODEL.gguf [backend] [tokens] [--save]
import { basename } from 'node:path';
import { performance } from 'node:perf_hooks';
import { describeMachine } from '../dist/cli/machine.js';
import { loadModel } from '../dist/index.js';
import { saveResult } from './save.mjs';

const [path, backend = 'cuda', tokens = '256'] = process.argv.slice(2).filter((word) => word !== '--save');
const count = Number(tokens);
const CONTEXT = 1024;
const model = await loadModel(path, { backend, context: CONTEXT });

/** Decodes `steps` tokens, over and over the same context. */
async function decode(steps) {
  for (let step = 0; step < steps; step++) {
    if (step % (CONTEXT - 1) === 0) model.sequence.truncate(0);
    await model.sequence.extend([(step * 7919) % model.config.vocabulary]);
  }
}

/** Milliseconds that calls of a method take, until they return. */
function timed(object, name) {
  const clock = { milliseconds: 0 };
  const method = object[name].bind(object);
  object[name] = (...args) => {
    const started = performance.now();
    const result = method(...args);
    clock.milliseconds += performance.now() - started;
    return result;
  };
  return clock;
}

/** Milliseconds of a pass when nothing waits in between: what the device takes. */
async function deviceTime(count) {
  const { backend, passes, step } = model.forward;
  const { list } = passes.recordingFor(1);
  step.clear();
  step.addOutput(step.addRow(1, 63, model.sequence.slot));
  let fence;
  const enqueue = () => {
    fence = backend.submit(list, step);
  };
  for (let i = 0; i < 3; i++) enqueue();
  await backend.wait(fence);
  const started = performance.now();
  for (let i = 0; i < count; i++) enqueue();
  await backend.wait(fence);
  return (performance.now() - started) / count;
}

await decode(64);
const device = await deviceTime(100);
const clocks = ['submit', 'read'].map((name) => [name, timed(model.forward.backend, name)]);
const memory = process.memoryUsage.rss();
const before = performance.eventLoopUtilization();
const settled = () => model.forward.backend.settledSeconds?.() ?? 0;
const settledBefore = settled();
const started = performance.now();
await decode(count);
const seconds = (performance.now() - started) / 1000;
const waited = 1000 * (settled() - settledBefore);
const active = performance.eventLoopUtilization(before).active - waited;
const grown = (process.memoryUsage.rss() - memory) / 2 ** 20;
console.log(
  `${model.device.name}: ${(count / seconds).toFixed(1)} tok/s; JavaScript's share of a token ` +
    `${(active / count).toFixed(4)} ms of ${((1000 * seconds) / count).toFixed(3)} ms, ` +
    `${(waited / count).toFixed(4)} ms awake for a pass that ends; ` +
    `${clocks.map(([name, { milliseconds }]) => `${name} ${((1000 * milliseconds) / count).toFixed(1)} us`).join(', ')}; ` +
    `passes without waiting ${device.toFixed(3)} ms; ` +
    `resident memory grew by ${grown.toFixed(1)} MiB over ${count} tokens`,
);
if (process.argv.includes('--save')) {
  const perToken = (milliseconds) => milliseconds / 1000 / count;
  saveResult(`js-share-${basename(path, '.gguf')}-${backend}`, {
    ...{ machine: describeMachine(), device: model.device, model: basename(path), tokens: count },
    ...{ tokenSeconds: seconds / count, ownSeconds: perToken(active), awakeSeconds: perToken(waited) },
    calls: Object.fromEntries(clocks.map(([name, clock]) => [name, perToken(clock.milliseconds)])),
    ...{ passSeconds: device / 1000, grownBytes: grown * 2 ** 20 },
  });
}
await model.dispose();
