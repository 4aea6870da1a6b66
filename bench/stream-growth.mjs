// Does a process grow while it streams? Decodes with all units but every third in pinned RAM and on disk in turn, for so many
// minutes (or tokens), and compares memory, handles and threads after a tenth of the time, when every pool has found its size,
// with those at the end. Exits with 1 where there are more handles or threads, or 32 MiB more memory. Needs dist/.
//
//   node bench/stream-growth.mjs [MODEL] [--backend cpu] [--adapter NAME] [--minutes 30 | --tokens N] [--context 256]
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createBackend } from '../dist/backend/index.js';
import { createForward } from '../dist/load-forward.js';
import { EMBEDDED_MODEL, openModel } from '../dist/open-model.js';
import { Sequence } from '../dist/sequence.js';
import { stridedPlan } from './stream/plan.mjs';

const { values, positionals } = parseArgs({
  options: {
    backend: { type: 'string', default: 'cpu' },
    adapter: { type: 'string' },
    minutes: { type: 'string', default: '30' },
    tokens: { type: 'string' },
    context: { type: 'string', default: '256' },
  },
  allowPositionals: true,
});

const MOST_GROWTH = 32 << 20;
const SETTLED_SHARE = 0.1;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** Without what only waits to be collected. */
function held() {
  collect();
  return {
    rss: process.memoryUsage().rss,
    handles: readdirSync('/proc/self/fd').length,
    threads: Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]),
  };
}

const opened = await openModel(positionals[0] ?? EMBEDDED_MODEL);
const { model } = opened;
const { backend: name, adapter } = values;
const backend = await createBackend({ backend: name, adapter });
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
let tokens = 0;
let settled = null;
while (share(tokens) < 1) {
  if (sequence.room === 0) sequence.truncate(0);
  await sequence.extend([(tokens++ * 7919) % model.config.vocabulary]);
  if (settled === null && share(tokens) >= SETTLED_SHARE) settled = held();
}
const last = held();
const growth = Object.fromEntries(Object.keys(last).map((key) => [key, last[key] - settled[key]]));
console.log(
  JSON.stringify({
    device: backend.device.name,
    tokens,
    seconds: seconds(),
    streamed: plan.schedules[0].transfers.length,
    settled,
    last,
    growth,
  }),
);
await loaded.close();
await backend.dispose();
if (growth.rss > MOST_GROWTH || growth.handles > 0 || growth.threads > 0) process.exitCode = 1;
