// Does a process grow while it streams? Decodes with all units but every third in pinned RAM and on disk in turn, for so many
// minutes (or tokens), looks at what the process holds thirty times, and compares memory, handles and threads after a tenth of
// the time, when every pool has found its size, with those at the end. Exits with 1 where there are more handles or threads, or
// 32 MiB more memory. Needs dist/.
//
//   node bench/stream-growth.mjs [MODEL] [--backend cpu] [--adapter NAME] [--threads N] [--minutes 30 | --tokens N] [--context 256]
//                                [--save]
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createBackend } from '../dist/backend/index.js';
import { describeMachine } from '../dist/cli/machine.js';
import { createForward } from '../dist/load-forward.js';
import { EMBEDDED_MODEL, openModel } from '../dist/open-model.js';
import { Sequence } from '../dist/sequence.js';
import { saveResult } from './save.mjs';
import { stridedPlan } from './stream/plan.mjs';

const { values, positionals } = parseArgs({
  options: {
    backend: { type: 'string', default: 'cpu' },
    adapter: { type: 'string' },
    threads: { type: 'string' },
    minutes: { type: 'string', default: '30' },
    tokens: { type: 'string' },
    context: { type: 'string', default: '256' },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

const MOST_GROWTH = 32 << 20;
const SAMPLES = 30;
/** The one that the last is compared with. */
const SETTLED_SAMPLE = SAMPLES / 10 - 1;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** Without what only waits to be collected. */
function held() {
  collect();
  const { rss, external, heapUsed } = process.memoryUsage();
  return {
    ...{ rss, external, heapUsed },
    handles: readdirSync('/proc/self/fd').length,
    threads: Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]),
  };
}

const opened = await openModel(positionals[0] ?? EMBEDDED_MODEL);
const { model } = opened;
const { backend: name, adapter } = values;
const threads = values.threads === undefined ? undefined : Number(values.threads);
const backend = await createBackend({ backend: name, adapter, threads });
const { hostIsDevice } = backend.device;
const bytes = model.units.reduce((sum, unit) => sum + unit.bytes, 0);
const residentBytes = bytes / 3;
const plan = stridedPlan(opened, {
  residentBytes,
  slots: hostIsDevice ? 0 : 3,
  staging: 3,
  everyOnDisk: 2,
  hostIsDevice,
});
const context = Number(values.context);
const sizes = { context, slots: 1, maxRows: 16, maxOutputs: 1 };
const loaded = await createForward(opened, backend, sizes, { plan });
const sequence = new Sequence(loaded.forward, 0);

const started = performance.now();
const seconds = () => (performance.now() - started) / 1000;
const share = (tokens) =>
  values.tokens === undefined ? seconds() / (60 * Number(values.minutes)) : tokens / Number(values.tokens);
const samples = [];
let tokens = 0;
while (samples.length < SAMPLES) {
  if (sequence.room === 0) sequence.truncate(0);
  await sequence.extend([(tokens++ * 7919) % model.config.vocabulary]);
  if (share(tokens) * SAMPLES >= samples.length + 1) samples.push({ tokens, seconds: seconds(), ...held() });
}
const [settled, last] = [samples[SETTLED_SAMPLE], samples.at(-1)];
const growth = Object.fromEntries(['rss', 'handles', 'threads'].map((key) => [key, last[key] - settled[key]]));
const { transfers } = plan.schedules[0];
const result = {
  date: new Date().toISOString(),
  machine: describeMachine(),
  device: backend.device.name,
  model: model.config.name,
  units: model.units.length,
  fromRam: transfers.filter(({ staging }) => staging === null).length,
  fromDisk: transfers.filter(({ staging }) => staging !== null).length,
  growth,
  samples,
};
console.log(JSON.stringify(result));
if (values.save) saveResult(`stream-growth-${backend.device.backend}`, result);
await loaded.close();
await backend.dispose();
if (growth.rss > MOST_GROWTH || growth.handles > 0 || growth.threads > 0) process.exitCode = 1;
