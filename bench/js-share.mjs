// What does JavaScript cost a token? What the device has nothing to do between two passes is what a token takes longer than a pass
// that nothing waits for; what JavaScript's thread works meanwhile, the device does not wait for. And does anything grow over many
// tokens?
//
//   node bench/js-share.mjs MODEL.gguf [backend] [tokens] [--save]
import { basename } from 'node:path';
import { performance } from 'node:perf_hooks';
import { describeMachine } from '../dist/cli/machine.js';
import { loadModel } from '../dist/index.js';
import { generated } from './generated.mjs';
import { saveResult } from './save.mjs';

const [path, backend = 'cuda', tokens = '256'] = process.argv.slice(2).filter((word) => word !== '--save');
const count = Number(tokens);
const CONTEXT = 1024;
const model = await loadModel(path, { backend, context: CONTEXT });

async function decode(steps) {
  for await (const _ of generated(model, steps));
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
async function deviceTime(repeats) {
  const { backend, passes, step } = model.forward;
  const { list } = passes.recordingFor(1);
  step.clear();
  // As far back as the middle of the tokens that are timed looks.
  step.addOutput(step.addRow(1, Math.min(count, CONTEXT) >> 1, model.sequence.slot));
  let fence;
  const enqueue = () => {
    fence = backend.submit(list, step);
  };
  for (let i = 0; i < 3; i++) enqueue();
  await backend.wait(fence);
  const started = performance.now();
  for (let i = 0; i < repeats; i++) enqueue();
  await backend.wait(fence);
  return (performance.now() - started) / repeats;
}

await decode(64);
const device = await deviceTime(100);
const clocks = ['submit', 'submitDrawn', 'read']
  .filter((name) => name in model.forward.backend)
  .map((name) => [name, timed(model.forward.backend, name)]);
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
const perToken = (1000 * seconds) / count;
console.log(
  `${model.device.name}: ${(count / seconds).toFixed(1)} tok/s, ${perToken.toFixed(3)} ms a token; ` +
    `passes without waiting ${device.toFixed(3)} ms: the device waits ${(perToken - device).toFixed(4)} ms; ` +
    `JavaScript's thread works ${(active / count).toFixed(4)} ms, and is awake ${(waited / count).toFixed(4)} ms for a pass that ends; ` +
    `${clocks.map(([name, { milliseconds }]) => `${name} ${((1000 * milliseconds) / count).toFixed(1)} us`).join(', ')}; ` +
    `resident memory grew by ${grown.toFixed(1)} MiB over ${count} tokens`,
);
if (process.argv.includes('--save')) {
  const share = (milliseconds) => milliseconds / 1000 / count;
  saveResult(`js-share-${basename(path, '.gguf')}-${backend}`, {
    ...{ machine: describeMachine(), device: model.device, model: basename(path), tokens: count },
    ...{ tokenSeconds: seconds / count, ownSeconds: share(active), awakeSeconds: share(waited) },
    calls: Object.fromEntries(clocks.map(([name, clock]) => [name, share(clock.milliseconds)])),
    ...{ passSeconds: device / 1000, waitingSeconds: (perToken - device) / 1000, grownBytes: grown * 2 ** 20 },
  });
}
await model.dispose();
