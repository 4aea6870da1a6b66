// Does every model predict a text as well as llama.cpp lets it?
//
//   node bench/perplexity.mjs EXPECTED.json MODELS_FOLDER [model.gguf...] [--backend cpu|reference] [--save]
//
// EXPECTED.json holds { text, window, windows, perplexity: { "model.gguf": figure } }; the text lies in the models' folder.
// Prints a table; exit status 1 when a model is more than 0.5 % away.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { describeMachine } from '../dist/cli/machine.js';
import { loadModel } from '../dist/index.js';
import { perplexity } from '../dist/perplexity.js';
import { saveResult } from './save.mjs';

const TOLERANCE_PERCENT = 0.5;

const { values, positionals } = parseArgs({
  options: { backend: { type: 'string', default: 'cpu' }, save: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [expectedFile, folder, ...chosen] = positionals;
if (!folder) {
  console.error(
    'usage: node bench/perplexity.mjs EXPECTED.json MODELS_FOLDER [model.gguf...] [--backend cpu|reference]',
  );
  process.exit(2);
}
const expected = JSON.parse(readFileSync(expectedFile, 'utf8'));
const text = readFileSync(`${folder}/${expected.text}`, 'utf8');
const models = Object.keys(expected.perplexity).filter((name) => chosen.length === 0 || chosen.includes(name));
let wrong = 0;
let device;
const results = [];
for (const name of models) {
  const sizes = { context: expected.window, maxRows: 256, maxOutputs: 256 };
  const model = await loadModel(`${folder}/${name}`, { backend: values.backend, ...sizes });
  const started = performance.now();
  const result = await perplexity(model, text, { window: expected.window, windows: expected.windows });
  const seconds = (performance.now() - started) / 1000;
  device = model.device;
  await model.dispose();
  const wanted = expected.perplexity[name];
  const percent = (result.perplexity / wanted - 1) * 100;
  const good = Math.abs(percent) <= TOLERANCE_PERCENT;
  if (!good) wrong++;
  results.push({ model: name, perplexity: result.perplexity, llamaCpp: wanted, difference: percent / 100, seconds });
  const rate = ((expected.window * expected.windows) / seconds).toFixed(0);
  console.log(
    `${name.padEnd(26)} ${result.perplexity.toFixed(4).padStart(9)}  llama.cpp ${wanted.toFixed(4).padStart(9)}  ` +
      `${percent.toFixed(3).padStart(7)} %  ${rate.padStart(6)} tok/s  ${good ? 'ok' : 'WRONG'}`,
  );
}
if (values.save) {
  const { text: from, window, windows } = expected;
  const largestDifference = Math.max(...results.map(({ difference }) => Math.abs(difference)));
  const about = { machine: describeMachine(), device, text: from, window, windows };
  saveResult(`perplexity-${device.backend}`, { ...about, largestDifference, results });
}
process.exitCode = wrong > 0 ? 1 : 0;
