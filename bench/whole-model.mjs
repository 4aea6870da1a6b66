// How fast are whole models of a real shape, beside what this machine's memory allows? Writes random models of the shape,
// runs `ntx bench` on each in a process of its own, and prints a table; --save keeps the JSON in bench/results.
//
//   node bench/whole-model.mjs [--shape llama-1b] [--types Q8_0,Q4_K,Q6_K] [--folder FOLDER] [--save] [-- bench options]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { saveResult } from './save.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({
  options: {
    shape: { type: 'string', default: 'llama-1b' },
    types: { type: 'string', default: 'Q8_0,Q4_K,Q6_K' },
    folder: { type: 'string', default: join(tmpdir(), 'ntx-bench') },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

function ntx(...args) {
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'dist/main.js'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status !== 0) process.exit(status ?? 1);
  return stdout;
}

mkdirSync(values.folder, { recursive: true });
const results = [];
for (const type of values.types.split(',')) {
  const path = join(values.folder, `${values.shape}-${type}.gguf`);
  if (!existsSync(path)) ntx('synth', values.shape, path, '--type', type);
  const result = JSON.parse(ntx('bench', path, '--json', ...positionals));
  results.push({ shape: values.shape, type, ...result, model: { ...result.model, path: basename(path) } });
  const { decode, prompt, bytesPerSecond, readBandwidth, shareOfBandwidth, options, memory } = result;
  const share =
    readBandwidth === null
      ? ''
      : `${(100 * shareOfBandwidth).toFixed(1)} % of ${(readBandwidth / 1e9).toFixed(1)} GB/s`;
  console.log(
    `${values.shape} ${type.padEnd(5)} decode ${decode.best.toFixed(2)} tok/s (median ${decode.median.toFixed(2)}), ` +
      `${(bytesPerSecond / 1e9).toFixed(2)} GB/s = ${share}; prompt of ${options.promptTokens} ${prompt.best.toFixed(1)} tok/s ` +
      `(median ${prompt.median.toFixed(1)}); load peak ${(memory.peakOfLoad / 2 ** 20).toFixed(0)} MiB for ` +
      `${(memory.weights / 2 ** 20).toFixed(0)} MiB of weights`,
  );
}
if (values.save) {
  saveResult([values.shape, results[0].device.backend, process.env.NTX_CPU].filter(Boolean).join('-'), results);
}
