// How long does planning take, how far from optimal can its placements be, and how far is the simulated pass from the steady
// state that they are chosen by? Plans shapes of models for the described machines over a grid of budgets. Needs dist/.
//
//   node bench/plan.mjs [--save]
import { readFileSync } from 'node:fs';
import { describeMachine } from '../dist/cli/machine.js';
import { parseBudget } from '../dist/placement/budget.js';
import { readMachine } from '../dist/placement/machine-json.js';
import { memoriesOf, planFor } from '../dist/placement/plan-for.js';
import { decodeAnswer, encodeRequest } from '../dist/placement/wire.js';
import { shapeModel } from '../dist/synth/shape-model.js';
import { saveResult } from './save.mjs';

const MACHINES = ['h100-80gb', 'rtx3090-pcie3x8-48gb', 'rtx5060ti-pcie5-32gb'];
const MODELS = [
  ['llama-70b', 'Q4_K'],
  ['llama-70b', 'Q4_K_M'],
  ['llama-70b', 'Q6_K'],
  ['qwen3-32b', 'Q4_K_M'],
  ['llama-8b', 'Q8_0'],
];
const VRAM = ['2GiB', '4GiB', '8GiB', '15.5GiB'];
const ROUNDS = 5;
const sizes = { maxRows: 512, maxOutputs: 1, slots: 1, context: 4096 };
const compiled = new WebAssembly.Module(readFileSync(new URL('../dist/planner.wasm', import.meta.url)));

/** Milliseconds of processor time of one plan, the least of some, and what it answers. */
function planOnce(request) {
  const words = encodeRequest(request);
  let best = { milliseconds: Number.POSITIVE_INFINITY, wallMilliseconds: Number.POSITIVE_INFINITY };
  for (let round = 0; round < ROUNDS; round++) {
    const abort = () => {
      throw new Error('the planner stopped');
    };
    const planner = new WebAssembly.Instance(compiled, { env: { abort } }).exports;
    const at = planner.reserve(words.length) >>> 0;
    new Float64Array(planner.memory.buffer, at, words.length).set(words);
    const began = performance.now();
    const before = process.cpuUsage();
    const end = planner.plan() >>> 0;
    const { user, system } = process.cpuUsage(before);
    const milliseconds = (user + system) / 1000;
    const wallMilliseconds = Math.min(best.wallMilliseconds, performance.now() - began);
    const answer = decodeAnswer(new Float64Array(planner.memory.buffer, end, planner.words()), request);
    if (milliseconds < best.milliseconds) best = { milliseconds, wallMilliseconds, answer };
    else best = { ...best, wallMilliseconds };
  }
  return best;
}

const results = [];
for (const name of MACHINES) {
  const machine = await readMachine(name);
  for (const [shape, type] of MODELS) {
    const { gguf, model } = shapeModel(shape, type);
    for (const vram of VRAM) {
      for (const cpuComputes of [true, false]) {
        const options = {
          sizes,
          memories: memoriesOf(machine),
          vram: parseBudget('--vram', vram),
          rows: 1,
          cpuComputes,
        };
        let request;
        let answer;
        try {
          ({ request, answer } = planFor(gguf, model, machine, options));
        } catch (error) {
          if (error.code !== 'no-memory') throw error;
          continue;
        }
        const once = planOnce(request);
        if (once.answer.status !== 'planned') throw new Error(`${name} ${shape}: ${once.answer.status}`);
        const { seconds, steadyState, lowerBound } = once.answer;
        const pure = answer.refused.filter((other) => other.seconds !== null).map((other) => other.seconds[0]);
        results.push({
          case: `${name}, ${shape} ${type}, ${vram}${cpuComputes ? '' : ', no CPU'}`,
          units: request.units.length,
          milliseconds: once.milliseconds,
          wallMilliseconds: once.wallMilliseconds,
          gap: steadyState / lowerBound - 1,
          simulated: seconds / steadyState,
          tokensPerSecond: 1 / answer.plan.schedules[0].prediction.seconds,
          bestPure: 1 / Math.min(...pure),
        });
      }
    }
  }
}

const worst = (key) => results.reduce((most, result) => (result[key] > most[key] ? result : most));
const mean = (key) => results.reduce((sum, result) => sum + result[key], 0) / results.length;
console.log(`${results.length} plans on ${describeMachine().cpu}`);
const lines = {
  milliseconds: 'milliseconds of the processor a plan',
  wallMilliseconds: 'milliseconds a plan',
  gap: 'above the bound',
  simulated: 'simulated / steady state',
};
for (const [key, label] of Object.entries(lines)) {
  const most = worst(key);
  console.log(
    `${label}: mean ${mean(key).toFixed(3)}, most ${most[key].toFixed(3)} (${most.case}, ${most.units} units)`,
  );
}
if (process.argv.includes('--save')) saveResult('plan', { machine: describeMachine(), results });
