// Does every model predict a text as well as llama.cpp lets it?
//
//   node bench/perplexity.mjs EXPECTED.json MODELS_FOLDER [model.gguf...] [--backend cpu|reference]
//
// EXPECTED.json holds { text, window, windows, perplexity: { "model.gguf": figure } }; the text lies in the models' folder.
// Prints a table; exit status 1 when a model is more than 0.5 % away.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadModel } from '../dist/index.js';
import { perplexity } from '../dist/perplexity.js';

const TOLERANCE_PERCENT = 0.5;

const { values, positionals } = parseArgs({
  options: { backend: { type: 'string', default: 'cpu' } },
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
for (const name of models) {
  const sizes = { context: expected.window, maxRows: 256, maxOutputs: 256 };
  const model = await loadModel(`${folder}/${name}`, { backend: values.backend, ...sizes });
  const started = performance.now();
  const result = await perplexity(model, text, { window: expected.window, windows: expected.windows });
  const seconds = (performance.now() - started) / 1000;
  await model.dispose();
  const wanted = expected.perplexity[name];
  const percent = (result.perplexity / wanted - 1) * 100;
  const good = Math.abs(percent) <= TOLERANCE_PERCENT;
  if (!good) wrong++;
  const rate = ((expected.window * expected.windows) / seconds).toFixed(0);
  console.log(
    `${name.padEnd(26)} ${result.perplexity.toFixed(4).padStart(9)}  llama.cpp ${wanted.toFixed(4).padStart(9)}  ` +
      `${percent.toFixed(3).padStart(7)} %  ${rate.padStart(6)} tok/s  ${good ? 'ok' : 'WRONG'}`,
  );
}
process.exitCode = wrong > 0 ? 1 : 0;
