// What does it bring to compute units on the CPU while others are streamed? Loads a model once, with attention and the output head
// resident, feed-forward units as far as --vram goes, and the others in RAM; then decodes with each of --shares of those computed
// by the CPU (0: all streamed, 1: none), with each of --sequences decoding together. Prints and saves tokens a second, how busy
// device, link and CPU were, and what lies between two units of the CPU, beside what the same threads read alone and while the link
// copies. --planned runs the planner's plan instead; --copies hands over by reads and copies, where device and CPU could tell each
// other.
//
//   node bench/host-compute.mjs MODEL [--backend cuda] [--adapter NAME] [--vram GIB] [--shares 0,0.5,0.6,0.7,0.8,1]
//                               [--sequences 1,8] [--tokens 16] [--slots 3] [--threads N] [--context 256] [--planned] [--copies] [--save]
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '../dist/backend/cpu/cpu.js';
import { createBackend } from '../dist/backend/index.js';
import { choosePlan } from '../dist/choose-plan.js';
import { describeMachine } from '../dist/cli/machine.js';
import { createForward } from '../dist/load-forward.js';
import { openModel } from '../dist/open-model.js';
import { measureReads } from '../dist/placement/measure/host-memory.js';
import { copyDuring } from '../dist/placement/measure/link.js';
import { systemClock } from '../dist/placement/measure/timing.js';
import { bufferBytes } from '../dist/streaming/buffers.js';
import { StreamRecorder } from '../dist/streaming/stream-recorder.js';
import { saveResult } from './save.mjs';
import { linkPeak } from './stream/link.mjs';
import { placement, schedule } from './stream/shares.mjs';

const { values, positionals } = parseArgs({
  options: {
    backend: { type: 'string', default: 'cuda' },
    adapter: { type: 'string' },
    vram: { type: 'string', default: '15.5' },
    shares: { type: 'string', default: '0,0.5,0.6,0.7,0.8,1' },
    sequences: { type: 'string', default: '1,8' },
    tokens: { type: 'string', default: '16' },
    slots: { type: 'string', default: '3' },
    threads: { type: 'string', default: `${Math.max(1, availableParallelism() - 1)}` },
    context: { type: 'string', default: '256' },
    planned: { type: 'boolean', default: false },
    copies: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const number = (name) => Number(values[name]);
const numbers = (name) => values[name].split(',').map(Number);
const path = positionals[0];
if (path === undefined) throw new Error('which model? node bench/host-compute.mjs MODEL');

const WARM_UP = 3;
const opened = await openModel(path);
const { model } = opened;
const backend = await createBackend({ backend: values.backend, adapter: values.adapter });
const most = Math.max(...numbers('sequences'));
const sizes = { context: number('context'), slots: most, maxRows: Math.max(16, most), maxOutputs: Math.max(8, most) };
// To compare: JavaScript in the middle of every hand-over.
if (values.copies) backend.handOver = undefined;
const cpu = { threads: number('threads') };
const link = await linkPeak(backend);
const reads = await readPeaks();
const runs = [];

const { plan, predicted, loadSizes } = values.planned ? await planned() : sharesPlan();
const bytesIn = (tier) =>
  model.units.reduce((sum, { bytes }, unit) => sum + (plan.tiers[unit] === tier ? bytes : 0), 0);
console.log(
  ['device', 'host-copy', 'host-compute', 'disk']
    .map(
      (tier) =>
        `${tier}: ${plan.tiers.filter((each) => each === tier).length} units, ${(bytesIn(tier) / 1e9).toFixed(2)} GB`,
    )
    .join('; '),
);
const started = performance.now();
const loaded = await createForward(opened, backend, loadSizes, {
  plan,
  createCpu: () => createCpuBackend({ ...cpu, besideDevice: true }),
});
const loadSeconds = (performance.now() - started) / 1000;
console.log(`loaded in ${loadSeconds.toFixed(1)} s; the link alone carries ${link.toFixed(2)} GB/s`);
console.log(
  `${cpu.threads} threads read ${reads.alone.toFixed(1)} GB/s alone, ` +
    `and ${reads.besideLink.toFixed(1)} GB/s while the link carries ${reads.linkBeside.toFixed(1)} GB/s`,
);
if (values.planned) for (const count of numbers('sequences')) await measure(null, count);
else {
  const recordings = plan.schedules.map(({ maxRows }) => loaded.streamer.recordingFor(maxRows));
  for (const [i, share] of numbers('shares').entries()) {
    loaded.streamer.recordingFor = () => recordings[i];
    for (const count of numbers('sequences')) await measure(share, count);
  }
}
await loaded.free();

const result = {
  date: new Date().toISOString(),
  machine: describeMachine(),
  device: backend.device,
  model: basename(path),
  options: values,
  inRam: bytesIn('host-copy') + bytesIn('host-compute'),
  onDevice: bytesIn('device'),
  loadSeconds,
  link,
  reads,
  predicted,
  runs,
  rss: process.resourceUsage().maxRSS * 1024,
};
console.log(JSON.stringify(result));
if (values.save) {
  const isPure = numbers('shares').every((share) => share === 0 || share === 1);
  const suffix = values.planned ? '-planned' : isPure ? '-pure' : '';
  saveResult(`host-compute-${basename(path, '.gguf')}-${values.backend}${suffix}`, result);
}
await backend.dispose();

/** GB/s that the threads get through with plain reads: what their products cannot pass. */
async function readPeaks() {
  const reader = createCpuBackend(cpu);
  const alone = await measureReads(reader);
  const { rate, result } = await copyDuring(backend, () => measureReads(reader), systemClock);
  await reader.dispose();
  return { alone: alone / 1e9, besideLink: Math.min(alone, result) / 1e9, linkBeside: rate / 1e9 };
}

function sharesPlan() {
  const buffers = model.buffers.reduce((sum, spec) => sum + bufferBytes(spec, sizes), 0);
  const placed = placement(opened, { residentBytes: number('vram') * 2 ** 30 - buffers, slots: number('slots') });
  // All of them are recorded, for passes of more rows than there are: measure() has one of them after the other run.
  const schedules = numbers('shares').map((share, i) => schedule(placed, share, 2 ** 20 + i));
  return { plan: { ...placed, schedules }, predicted: null, loadSizes: sizes };
}

async function planned() {
  const options = { vram: `${values.vram}GiB`, threads: number('threads'), maxRows: sizes.maxRows };
  const { plan: chosen } = await choosePlan(opened, backend, sizes, options);
  if (chosen === null) throw new Error('the model fits: there is nothing to plan');
  const { plan, timelines: _, ...answer } = chosen.placement.answer;
  return {
    plan,
    predicted: { ...answer, schedules: plan.schedules.map(({ maxRows, prediction }) => ({ maxRows, ...prediction })) },
    loadSizes: chosen.sizes,
  };
}

/** `count` sequences decode together. */
async function measure(share, count) {
  const { forward, streamer } = loaded;
  let position = 0;
  const pass = async () => {
    const { step } = forward;
    step.clear();
    for (let slot = 0; slot < count; slot++) {
      step.addOutput(step.addRow((position * 7919 + slot * 31 + 13) % model.config.vocabulary, position, slot));
    }
    position++;
    await forward.pass();
  };
  const passesOf = async (many) => {
    const passes = [];
    for (let i = 0; i < many; i++) {
      const start = performance.now();
      await pass();
      passes.push((performance.now() - start) / 1000);
    }
    return passes;
  };
  await passesOf(WARM_UP);
  // Whoever watches wakes for every segment: rates are of passes that nobody watches.
  const passes = await passesOf(number('tokens'));
  const passSeconds = passes.reduce((sum, each) => sum + each, 0) / passes.length;
  const recorder = new StreamRecorder(
    backend,
    model.units.map(({ bytes }) => bytes),
  );
  streamer.watcher = recorder;
  const began = performance.now();
  const watched = await passesOf(number('tokens'));
  streamer.watcher = null;
  const window = await recorder.window(began, performance.now());
  const { seconds, busy, bytes } = window;
  const units = window.events.filter(({ resource }) => resource === 'cpu').toSorted((a, b) => a.begin - b.begin);
  const gaps = units.slice(1).map(({ begin }, i) => begin - units[i].end);
  const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? null;
  const run = {
    share,
    sequences: count,
    tokensPerSecond: count / passSeconds,
    medianPassSeconds: median(passes),
    watchedTokensPerSecond: (count * watched.length) / seconds,
    busyShare: Object.fromEntries(Object.entries(busy).map(([name, sum]) => [name, sum / seconds])),
    gigabytesPerSecond: { link: bytes.link / seconds / 1e9, cpu: bytes.cpu / seconds / 1e9 },
    whileBusy: { link: bytes.link / busy.link / 1e9, cpu: bytes.cpu / busy.cpu / 1e9 },
    cpuUnits: units.length / watched.length,
    medianUnitSeconds: median(units.map(({ begin, end }) => end - begin)),
    medianGapSeconds: median(gaps),
  };
  runs.push(run);
  report(run);
}

function report({ share, sequences, tokensPerSecond, busyShare, gigabytesPerSecond, whileBusy, medianGapSeconds }) {
  const percent = (part) => `${(100 * part).toFixed(1)} %`;
  console.log(
    `${share === null ? 'planned' : `share ${share}`}, ${sequences} ${sequences === 1 ? 'sequence' : 'sequences'}: ` +
      `${tokensPerSecond.toFixed(3)} tok/s; busy: ${Object.entries(busyShare)
        .map(([name, part]) => `${name} ${percent(part)}`)
        .join(', ')}; link ${gigabytesPerSecond.link.toFixed(1)} GB/s, CPU ${gigabytesPerSecond.cpu.toFixed(1)} GB/s ` +
      `(${(whileBusy.cpu || 0).toFixed(1)} at work); between units ${((medianGapSeconds ?? 0) * 1e6).toFixed(0)} us`,
  );
}
