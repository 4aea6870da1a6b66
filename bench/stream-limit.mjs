// Decoding under a hard limit of RAM: `ntx bench MODEL --backend cpu --ram` in a memory control group (version 1 or 2) where one
// can be made, beside the bound of its own disk rate: decoding at best takes bytes streamed per pass / rate. Without a control
// group the peak of resident memory says whether the limit was kept. Needs dist/.
//
//   node bench/stream-limit.mjs MODEL [--limit 700MiB] [--share 80] [--tokens 32] [--save]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { saveResult } from './save.mjs';

const { values, positionals } = parseArgs({
  options: {
    limit: { type: 'string', default: '700MiB' },
    share: { type: 'string', default: '80' },
    tokens: { type: 'string', default: '32' },
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

const group = makeGroup();
try {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  // What Node itself takes is not ntx's to plan.
  const ram = `${Math.floor((limit * Number(values.share)) / 100)}B`;
  const bench = [main, 'bench', model, '--backend', 'cpu', '--ram', ram, '--json', '--repeat', '1'];
  const args = [process.execPath, ...bench, '--tokens', values.tokens, '--prompt-tokens', '16'];
  const script = group === null ? 'exec "$@"' : `echo $$ > ${group.folder}/cgroup.procs && exec "$@"`;
  const { status, stdout } = spawnSync('sh', ['-c', script, 'sh', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`ntx bench ended with ${status}`);
  const { date, machine, device, stream, memory } = JSON.parse(stdout);
  const { seconds, bytes, peaks, predicted, busy } = stream;
  const bound = peaks.disk / bytes.disk;
  const result = {
    ...{ date, machine, device: device.name, model: basename(model), limit, inGroup: group !== null },
    groupPeak: group === null ? null : Number(readFileSync(group.peak, 'utf8')),
    loadPeak: memory.peakOfLoad,
    ...{
      tokensPerSecond: 1 / seconds,
      predictedTokensPerSecond: 1 / predicted.seconds,
      busyShare: busy.disk / seconds,
    },
    ...{ bytesPerPass: bytes.disk, diskAlone: peaks.disk, bound, shareOfBound: 1 / seconds / bound },
  };
  console.log(JSON.stringify(result, null, 1));
  if (values.save) saveResult(`stream-limit-${basename(model, '.gguf')}`, result);
} finally {
  if (group !== null) rmdirSync(group.folder);
}
