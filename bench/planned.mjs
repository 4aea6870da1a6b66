// Does a plan keep its word? Runs `ntx bench` on a model that gets less memory than it takes, and keeps what the planner predicted,
// what it says of the same plan with the rate that the drives have right before (virtual ones change it within seconds), what was
// measured, and the timeline of the last pass.
//
//   node bench/planned.mjs MODEL [--backend cuda] [--vram 15.5GiB] [--ram SIZE] [--tokens 24] [--name SUFFIX] [--save]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { saveResult } from './save.mjs';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const { values, positionals } = parseArgs({
  options: {
    backend: { type: 'string', default: 'auto' },
    vram: { type: 'string' },
    ram: { type: 'string' },
    tokens: { type: 'string', default: '24' },
    name: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const [path] = positionals;
if (path === undefined) throw new Error('which model? node bench/planned.mjs MODEL');

const folder = mkdtempSync(join(tmpdir(), 'ntx-planned-'));
const trace = join(folder, 'pass.json');
const budgets = ['vram', 'ram'].flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]]));
const args = ['bench', path, '--backend', values.backend, ...budgets, '--tokens', values.tokens, '--repeat', '1'];
const { status, stdout } = spawnSync(process.execPath, [MAIN, ...args, '--json', '--timeline', trace], {
  stdio: ['ignore', 'pipe', 'inherit'],
  encoding: 'utf8',
  maxBuffer: 2 ** 28,
});
if (status !== 0) process.exit(status ?? 1);
const result = JSON.parse(stdout);
const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8'));
rmSync(folder, { recursive: true });

const { predicted, forecast, seconds } = result.stream;
const rate = (of) => `${(1 / of).toPrecision(3)} tok/s`;
const before = forecast === null ? '' : `with what the drives carried right before ${rate(forecast)}, `;
console.log(
  `${basename(path)} on ${result.device.name}: predicted ${rate(predicted.seconds)}, ${before}measured ${rate(seconds)}`,
);
if (values.save) {
  // The trace says the same with names: seconds since the pass began, rounded to microseconds.
  const { events: _, ...pass } = result.stream.pass;
  const timeline = traceEvents
    .filter(({ ph }) => ph === 'X')
    .map(({ cat, name, ts, dur }) => ({
      resource: cat,
      name,
      begin: Math.round(ts) / 1e6,
      end: Math.round(ts + dur) / 1e6,
    }));
  const suffix = values.name === undefined ? '' : `-${values.name}`;
  saveResult(`bench-${basename(path, '.gguf')}-${result.device.backend}${suffix}`, {
    ...result,
    model: { ...result.model, path: basename(path) },
    budgets: { vram: values.vram ?? null, ram: values.ram ?? null },
    stream: { ...result.stream, pass },
    timeline,
  });
}
