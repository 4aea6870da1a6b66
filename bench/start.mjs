// How long from the command to the first token of the embedded model? The whole process is timed, as a user sees it.
//
//   node bench/start.mjs [runs]
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const runs = Number(process.argv[2] ?? 10);

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
  const [best, median, worst] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map((i) => sorted[i].toFixed(3));
  return `best ${best} s, median ${median} s, worst ${worst} s`;
}

for (const args of [['--version'], ['run', '-n', '1']]) {
  const times = [];
  for (let i = 0; i < runs; i++) times.push(await once(args));
  console.log(`ntx ${args.join(' ')}: first output ${spread(times.map(({ first }) => first))}`);
  console.log(`${' '.repeat(`ntx ${args.join(' ')}`.length)}  end          ${spread(times.map(({ end }) => end))}`);
}
