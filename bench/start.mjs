// How long from the command to the first token of the embedded model? The whole process is timed, as a user sees it.
//
//   node bench/start.mjs [runs] [--save]
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describeMachine } from '../dist/cli/machine.js';
import { saveResult } from './save.mjs';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const runs = Number(process.argv.slice(2).find((word) => word !== '--save') ?? 10);

/** Seconds until the first byte on stdout, and until the end. */
function once(args) {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let first = null;
  child.stdout.on('data', () => {
    first ??= seconds();
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) =>
      status === 0 ? resolve({ first, end: seconds() }) : reject(new Error(`status ${status}`)),
    );
  });
}

function spread(times) {
  const sorted = times.toSorted((a, b) => a - b);
  return { best: sorted[0], median: sorted[sorted.length >> 1], worst: sorted.at(-1) };
}

const text = (seconds) => Object.entries(seconds).map(([name, value]) => `${name} ${value.toFixed(3)} s`);

const results = [];
for (const args of [['--version'], ['run', '-n', '1']]) {
  const times = [];
  for (let i = 0; i < runs; i++) times.push(await once(args));
  const [first, end] = ['first', 'end'].map((key) => spread(times.map((each) => each[key])));
  const command = `ntx ${args.join(' ')}`;
  results.push({ command, first, end });
  console.log(`${command}: first output ${text(first).join(', ')}`);
  console.log(`${' '.repeat(command.length)}  end          ${text(end).join(', ')}`);
}
if (process.argv.includes('--save')) saveResult('start', { machine: describeMachine(), runs, results });
