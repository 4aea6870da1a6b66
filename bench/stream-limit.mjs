// Decoding under a hard limit of RAM, in a memory control group (version 1 or 2) where one can be made, beside the bound of its
// own disk rate: decoding at best takes bytes streamed per pass / rate. The rate is measured in turns with the passes. Without a
// control group the peak of resident memory says whether the limit was kept. Needs dist/.
//
//   node bench/stream-limit.mjs MODEL [--limit 700MiB] [--share 80] [--turns 12] [--seconds 2] [--save]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from '../dist/cli/machine.js';
import { loadModel } from '../dist/index.js';
import { forecastPass } from '../dist/placement/forecast.js';
import { saveResult } from './save.mjs';
import { DiskPeak, ReadsRecorder } from './stream/disk.mjs';

const { values, positionals } = parseArgs({
  options: {
    limit: { type: 'string', default: '700MiB' },
    share: { type: 'string', default: '80' },
    turns: { type: 'string', default: '12' },
    seconds: { type: 'string', default: '2' },
    inside: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const model = positionals[0];
if (model === undefined) throw new Error('which model? node bench/stream-limit.mjs MODEL');
const mebibytes = Number(/^(\d+)MiB$/.exec(values.limit)?.[1]);
if (!(mebibytes > 0)) throw new Error(`--limit: expected whole MiB such as 700MiB, got ${values.limit}`);
const limit = mebibytes * 2 ** 20;

/** A group with the limit; null where none can be made, with the reason. */
function makeGroup() {
  const root = '/sys/fs/cgroup';
  const unified = existsSync(`${root}/cgroup.controllers`);
  const folder = join(root, unified ? '' : 'memory', `ntx-bench-${process.pid}`);
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, unified ? 'memory.max' : 'memory.limit_in_bytes'), `${limit}`);
    if (unified) writeFileSync(join(folder, 'memory.swap.max'), '0');
    return { folder, peak: join(folder, unified ? 'memory.peak' : 'memory.max_usage_in_bytes') };
  } catch (error) {
    console.log(`no control group: ${error.message}`);
    return null;
  }
}

/** Runs this file again, under the limit, and tells what it says. */
function measure() {
  const group = makeGroup();
  try {
    const args = [process.execPath, fileURLToPath(import.meta.url), '--inside', ...process.argv.slice(2)];
    const script = group === null ? 'exec "$@"' : `echo $$ > ${group.folder}/cgroup.procs && exec "$@"`;
    const { status, stdout } = spawnSync('sh', ['-c', script, 'sh', ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`decoding ended with ${status}`);
    const groupPeak = group === null ? null : Number(readFileSync(group.peak, 'utf8'));
    return { ...JSON.parse(stdout), limit, groupPeak };
  } finally {
    if (group !== null) rmdirSync(group.folder);
  }
}

/** What Node itself takes is not ntx's to plan. */
async function decode() {
  const ram = `${Math.floor((limit * Number(values.share)) / 100)}B`;
  const loaded = await loadModel(model, { backend: 'cpu', ram, context: 256, maxRows: 16 });
  const loadPeak = process.resourceUsage().maxRSS * 1024;
  const { backend, chosen, config, files, sequence, streamer } = loaded;
  if (chosen === null) throw new Error('the model fits into the limit: nothing is streamed');
  const { transfers, prediction } = chosen.placement.answer.plan.schedules[0];
  const disk = await DiskPeak.open(
    backend,
    files,
    transfers.flatMap(({ extents }) => extents),
  );
  const recorder = new ReadsRecorder(
    backend,
    loaded.model.units.map(({ bytes }) => bytes),
  );
  streamer.watcher = recorder;
  let passes = 0;
  const pass = () => {
    if (sequence.room === 0) sequence.truncate(0);
    return sequence.extend([(passes++ * 7919) % config.vocabulary]);
  };
  await pass();
  const turns = [];
  for (let turn = 0; turn < Number(values.turns); turn++) {
    await recorder.quiet();
    await disk.measure(Number(values.seconds));
    await pass();
    const before = passes;
    const began = performance.now();
    while (performance.now() - began < 1000 * Number(values.seconds)) await pass();
    const { seconds, busy } = await recorder.window(began, performance.now());
    turns.push({ passes: passes - before, seconds, diskBusy: busy.disk, computeBusy: busy.compute });
  }
  await recorder.quiet();
  await disk.measure(Number(values.seconds));
  const sum = (key) => turns.reduce((total, turn) => total + turn[key], 0);
  const alone = disk.rates();
  const bytesPerPass = transfers.flatMap(({ extents }) => extents).reduce((total, { bytes }) => total + bytes, 0);
  const bound = alone[0].rate / bytesPerPass;
  const tokensPerSecond = sum('passes') / sum('seconds');
  // What of the prediction is right is seen beside the rate that the drive has now.
  const atThisRate = forecastPass(chosen.placement, bytesPerPass / alone[0].rate);
  const result = {
    ...{ date: new Date().toISOString(), machine: describeMachine(), device: backend.device.name },
    ...{ model: basename(model), loadPeak, bytesPerPass, alone },
    ...{ tokensPerSecond, predictedTokensPerSecond: 1 / prediction.seconds },
    ...{ predictedAtThisRate: 1 / atThisRate, bound },
    ...{ shareOfBound: tokensPerSecond / bound, diskBusyShare: sum('diskBusy') / sum('seconds'), turns },
  };
  console.log(JSON.stringify(result));
  await disk.close();
  await loaded.dispose();
}

if (values.inside) await decode();
else {
  const result = measure();
  console.log(JSON.stringify(result, null, 1));
  if (values.save) saveResult(`stream-limit-${basename(model, '.gguf')}`, result);
}
