// How near does streaming come to the link? Places a model with the units that fit into --vram resident and evenly spread,
// and the others in pinned RAM (every --disk'th of them on disk), decodes, and prints what copies, reads and kernels did beside
// what the link carries alone in the same process. The plan is made here, so that the streamer is measured and not the planner.
// What drives carry alone is measured in turns with passes, when the streamer has read ahead as far as it has room: a turn's reads
// are compared with the mean of what the drive carried before and after it.
//
//   node bench/stream.mjs MODEL [--backend cuda] [--adapter NAME] [--vram GIB] [--slots 3] [--staging 2] [--disk N] [--tokens 32]
//                         [--prompts 10] [--rows 512] [--context 1024] [--save]
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { createBackend } from '../dist/backend/index.js';
import { describeMachine } from '../dist/cli/machine.js';
import { createForward } from '../dist/load-forward.js';
import { openModel } from '../dist/open-model.js';
import { Sequence } from '../dist/sequence.js';
import { bufferBytes } from '../dist/streaming/buffers.js';
import { joined } from '../dist/streaming/stream-recorder.js';
import { saveResult } from './save.mjs';
import { DiskPeak, ReadsRecorder } from './stream/disk.mjs';
import { linkPeak } from './stream/link.mjs';
import { stridedPlan } from './stream/plan.mjs';

const { values, positionals } = parseArgs({
  options: {
    backend: { type: 'string', default: 'cuda' },
    adapter: { type: 'string' },
    vram: { type: 'string', default: '15.5' },
    slots: { type: 'string', default: '3' },
    staging: { type: 'string', default: '2' },
    disk: { type: 'string', default: '0' },
    tokens: { type: 'string', default: '32' },
    prompts: { type: 'string', default: '10' },
    rows: { type: 'string', default: '512' },
    context: { type: 'string', default: '1024' },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const number = (name) => Number(values[name]);
const path = positionals[0];
if (path === undefined) throw new Error('which model? node bench/stream.mjs MODEL');

const WARM_UP = 4;
/** In turns with the disk's peak. */
const PASSES_A_TURN = 2;
const PEAK_SECONDS = 4;
const gibibytes = (bytes) => bytes / 2 ** 30;
const perSecond = (bytes, seconds) => bytes / seconds / 1e9;

const opened = await openModel(path);
const { model } = opened;
const backend = await createBackend({ backend: values.backend, adapter: values.adapter });
const sizes = { context: number('context'), slots: 1, maxRows: number('rows'), maxOutputs: 8 };
const buffers = model.buffers.reduce((sum, spec) => sum + bufferBytes(spec, sizes), 0);
const plan = stridedPlan(opened, {
  residentBytes: number('vram') * 2 ** 30 - buffers,
  slots: number('slots'),
  staging: number('staging'),
  everyOnDisk: number('disk'),
  hostIsDevice: backend.device.hostIsDevice,
});
const { transfers } = plan.schedules[0];
const bytesOf = (list) => list.reduce((sum, { unit }) => sum + model.units[unit].bytes, 0);
const streamed = { bytes: bytesOf(transfers), disk: bytesOf(transfers.filter(({ staging }) => staging !== null)) };
console.log(
  `${transfers.length} of ${model.units.length} units streamed: ${gibibytes(streamed.bytes).toFixed(2)} GiB a pass, ` +
    `${gibibytes(streamed.disk).toFixed(2)} of it from disk; ${plan.slots.length} slots of ${gibibytes(plan.slots[0] ?? 0).toFixed(2)} GiB`,
);

const files = opened.gguf.files.map((file) => file.path);
const link = { before: await linkPeak(backend), after: 0 };
const extents = transfers.flatMap((transfer) => transfer.extents);
const diskPeak = extents.length > 0 ? await DiskPeak.open(backend, files, extents) : null;
let started = performance.now();
const loaded = await createForward(opened, backend, sizes, { plan });
const loadSeconds = (performance.now() - started) / 1000;
console.log(`loaded in ${loadSeconds.toFixed(1)} s; the link alone carries ${link.before.toFixed(2)} GB/s`);

const sequence = new Sequence(loaded.forward, 0);
const token = (i) => (i * 7919 + 13) % model.config.vocabulary;
await sequence.extend([token(0)]);
for (let i = 1; i < WARM_UP; i++) await sequence.extend([token(i)]);

const recorder = new ReadsRecorder(
  backend,
  model.units.map(({ bytes }) => bytes),
);
loaded.streamer.watcher = recorder;
const passes = [];
const windows = [];
const turns = diskPeak === null ? 1 : Math.ceil(number('tokens') / PASSES_A_TURN);
for (let turn = 0; turn < turns; turn++) {
  if (diskPeak !== null) {
    await recorder.quiet();
    await diskPeak.measure(PEAK_SECONDS);
    await sequence.extend([token(turn)]);
  }
  const began = performance.now();
  for (let i = 0; i < number('tokens') / turns; i++) {
    started = performance.now();
    await sequence.extend([token(i)]);
    passes.push((performance.now() - started) / 1000);
  }
  windows.push(await recorder.window(began, performance.now()));
}
if (diskPeak !== null) {
  await recorder.quiet();
  await diskPeak.measure(PEAK_SECONDS);
}
loaded.streamer.watcher = null;
const window = joined(windows);

const prompt = Array.from({ length: number('rows') }, (_, i) => token(i));
sequence.truncate(0);
if (number('prompts') > 0) await sequence.extend(prompt);
started = performance.now();
for (let i = 0; i < number('prompts'); i++) {
  sequence.truncate(0);
  await sequence.extend(prompt);
}
const promptRate = (number('prompts') * prompt.length) / ((performance.now() - started) / 1000);
await loaded.free();
link.after = await linkPeak(backend);
const diskAlone = diskPeak?.rates();
const diskTurns = diskPeak && turnsOf(diskPeak.bestTurns(), windows);
await diskPeak?.close();

const peak = Math.max(link.before, link.after);
const decode = passes.length / window.seconds;
const result = {
  date: new Date().toISOString(),
  machine: describeMachine(),
  device: backend.device,
  model: basename(path),
  options: values,
  streamedBytes: streamed,
  loadSeconds,
  decode: {
    tokensPerSecond: decode,
    bestPassSeconds: Math.min(...passes),
    medianPassSeconds: passes.toSorted((a, b) => a - b)[passes.length >> 1],
  },
  promptTokensPerSecond: number('prompts') > 0 ? promptRate : null,
  link: {
    peak,
    ...link,
    carried: perSecond(window.bytes.link, window.seconds),
    whileBusy: perSecond(window.bytes.link, window.busy.link),
    shareOfPeak: perSecond(window.bytes.link, window.seconds) / peak,
  },
  disk: diskAlone && {
    peak: diskAlone[0].rate / 1e9,
    alone: diskAlone,
    carried: perSecond(window.bytes.disk, window.seconds),
    whileBusy: perSecond(window.bytes.disk, window.busy.disk),
    shareOfPeak: window.bytes.disk / window.seconds / diskAlone[0].rate,
    ...diskTurns,
  },
  busyShare: Object.fromEntries(Object.entries(window.busy).map(([name, seconds]) => [name, seconds / window.seconds])),
  rss: process.resourceUsage().maxRSS * 1024,
};
console.log(
  `decode ${decode.toFixed(3)} tok/s; link ${result.link.carried.toFixed(2)} GB/s = ${(100 * result.link.shareOfPeak).toFixed(1)} % of ` +
    `${peak.toFixed(2)}; ` +
    `${result.disk ? `disk ${result.disk.carried.toFixed(2)} GB/s = ${(100 * result.disk.shareOfPeak).toFixed(1)} % of ${result.disk.peak.toFixed(2)}, by turns ${(100 * result.disk.medianShare).toFixed(1)} %; ` : ''}busy: ${Object.entries(
      result.busyShare,
    )
      .map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`)
      .join(', ')}; ` +
    `prompts of ${prompt.length}: ${promptRate.toFixed(1)} tok/s`,
);
console.log(JSON.stringify(result));
if (values.save) {
  const disk = number('disk') > 0 ? `-disk${values.disk}` : '';
  saveResult(`stream-${basename(path, '.gguf')}-${values.backend}${disk}`, result);
}
await backend.dispose();

/** GB/s of each turn's reads, with the share that they are of what the drive carried alone before and after them. */
function turnsOf(alone, windows) {
  const turns = windows.map(({ bytes, seconds }, i) => ({
    alone: alone[i] / 1e9,
    carried: perSecond(bytes.disk, seconds),
  }));
  const aloneAtEnd = alone[windows.length] / 1e9;
  const shares = turns.map((turn, i) => turn.carried / ((turn.alone + (turns[i + 1]?.alone ?? aloneAtEnd)) / 2));
  return { turns, aloneAtEnd, medianShare: median(shares) };
}

function median(list) {
  const sorted = list.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}
