// Is the planner's mixture of streamed units and units on the CPU ever slower than the better pure plan? Over a grid of VRAM
// budgets decodes a few tokens by the planner's plan, by the one that only streams, and by the one that only computes on the CPU
// what the CPU can, and prints measured beside predicted seconds. The model is loaded anew for each. --alone: and all of it on the
// CPU, with no GPU beside it.
//
//   node bench/mixes.mjs MODEL [--backend cuda] [--vram 4,8,12] [--tokens 12] [--context 256] [--rows 16] [--threads N] [--alone]
//                        [--save]
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine } from '../dist/cli/machine.js';
import { loadModel } from '../dist/engine.js';
import { isSamePlan, secondsOfBetterPure } from './same-plan.mjs';
import { saveResult } from './save.mjs';

const { values, positionals } = parseArgs({
  options: {
    backend: { type: 'string', default: 'cuda' },
    adapter: { type: 'string' },
    vram: { type: 'string', default: '4,8,12' },
    tokens: { type: 'string', default: '12' },
    context: { type: 'string', default: '256' },
    rows: { type: 'string', default: '16' },
    threads: { type: 'string' },
    alone: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const [path] = positionals;
if (path === undefined) throw new Error('which model? node bench/mixes.mjs MODEL');

const WARM_UP = 3;
/** By how much a mixture may measure slower than the better pure plan. */
const ALLOWED = 1.03;
const KINDS = { planned: undefined, streamed: 'host-copy', computed: 'host-compute' };

let device = null;
const points = [];
for (const vram of values.vram.split(',').map(Number)) {
  const runs = {};
  for (const [kind, pure] of Object.entries(KINDS)) runs[kind] = await measure(vram, pure);
  const { planned, streamed, computed } = runs;
  // A budget that holds all has no plan, and one that holds too little none that is pure.
  const slower = secondsOfBetterPure(runs);
  points.push({ vram, ...runs, slower });
  const cell = (run) => {
    if (!run) return 'none';
    const same = run !== planned && planned && isSamePlan(run, planned) ? ', by the same plan' : '';
    return `${(1 / run.seconds).toFixed(2)} tok/s (predicted ${(1 / run.predicted).toFixed(2)}${same})`;
  };
  const verdict =
    slower === null ? '' : `; ${slower <= ALLOWED ? '' : 'TOO SLOW: '}${slower.toFixed(3)} of the better pure plan`;
  console.log(
    `${vram} GiB: planned ${cell(planned)}, streamed ${cell(streamed)}, computed ${cell(computed)}${verdict}`,
  );
}
const alone = values.alone ? await measureAlone() : null;
if (alone) console.log(`the CPU alone: ${(1 / alone.seconds).toFixed(2)} tok/s`);
const result = { machine: describeMachine(), device, model: basename(path), options: values, points, alone };
console.log(JSON.stringify(result));
if (values.save) saveResult(`mixes-${basename(path, '.gguf')}-${device.backend}`, result);
if (points.some(({ slower }) => slower > ALLOWED)) process.exitCode = 1;

/** Seconds of a decoded token under a budget; null where all fits, or nothing. */
async function measure(vram, pure) {
  const options = { backend: values.backend, adapter: values.adapter, vram: `${vram}GiB`, pure };
  const sizes = { context: Number(values.context), maxRows: Number(values.rows), maxOutputs: 1 };
  const threads = values.threads === undefined ? undefined : Number(values.threads);
  let model;
  const started = performance.now();
  try {
    model = await loadModel(path, { ...options, ...sizes, threads });
  } catch (error) {
    if (error.code !== 'no-memory') throw error;
    return null;
  }
  const loadSeconds = (performance.now() - started) / 1000;
  try {
    device ??= model.device;
    if (model.chosen === null) return null;
    const { request, answer, cpuThreads } = model.chosen.placement;
    const { tiers, slots, schedules } = answer.plan;
    const timed = await decode(model);
    const bytesIn = (tier) =>
      request.units.reduce((sum, { bytes }, unit) => sum + (tiers[unit] === tier ? bytes : 0), 0);
    return {
      ...timed,
      predicted: schedules[0].prediction.seconds,
      busy: schedules[0].prediction.busy,
      bytes: Object.fromEntries(['device', 'host-copy', 'host-compute', 'disk'].map((tier) => [tier, bytesIn(tier)])),
      slots: slots.length,
      cpuThreads,
      loadSeconds,
    };
  } finally {
    await model.dispose();
  }
}

async function measureAlone() {
  const sizes = { context: Number(values.context), maxRows: Number(values.rows), maxOutputs: 1 };
  const model = await loadModel(path, { backend: 'cpu', ...sizes });
  try {
    return { device: model.device, ...(await decode(model)) };
  } finally {
    await model.dispose();
  }
}

/** Seconds of a token. */
async function decode(model) {
  const passes = [];
  for (let i = 0; i < WARM_UP + Number(values.tokens); i++) {
    const before = performance.now();
    await model.sequence.extend([(i * 7919 + 13) % model.config.vocabulary]);
    passes.push((performance.now() - before) / 1000);
  }
  const counted = passes.slice(WARM_UP);
  return {
    seconds: counted.reduce((sum, each) => sum + each, 0) / counted.length,
    medianSeconds: counted.toSorted((a, b) => a - b)[counted.length >> 1],
  };
}
