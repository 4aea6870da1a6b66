// How far are the logits from llama.cpp's golden ones, and how far from each other are our own kernels, which differ only
// in the order of their sums?
//
//   node bench/golden.mjs GOLDEN_FOLDER MODELS_FOLDER [model...] [--reference] [--cuda]
//
// For every model with a golden file: each kernel set of this processor, and other backends with --reference and --cuda,
// against the golden logits (first row of figures), then against the first kernel set.
import { readdirSync, readFileSync } from 'node:fs';
import { cpuVariants, useCpuVariant } from '../dist/backend/cpu/cpu.js';
import { loadModel } from '../dist/index.js';

const args = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const [goldenFolder, modelsFolder, ...chosen] = args;
if (!modelsFolder) {
  console.error('usage: node bench/golden.mjs GOLDEN_FOLDER MODELS_FOLDER [model...] [--reference] [--cuda]');
  process.exit(2);
}

/** The logits of the golden's listed tokens at every step, following its tokens; NaN where one is not among our best. */
async function logitsOf(path, goldens, backend) {
  const model = await loadModel(path, { backend, context: 128 });
  const logits = [];
  for (const golden of goldens) {
    model.sequence.truncate(0);
    let output = await model.sequence.extend(golden.prompt_ids);
    for (const step of golden.steps) {
      const found = new Map(Array.from(output.tokens, (token, i) => [token, output.logits[i]]));
      logits.push(...step.top.map(([token]) => found.get(token) ?? Number.NaN));
      output = await model.sequence.extend([step.id]);
    }
  }
  await model.dispose();
  return logits;
}

function difference(a, b, bound) {
  const all = a.map((value, i) => Math.abs(value - b[i]));
  const rms = Math.sqrt(all.reduce((sum, value) => sum + value * value, 0) / all.length);
  const beyond = all.filter((value) => !(value <= bound)).length;
  return `largest ${Math.max(...all).toFixed(4)}  rms ${rms.toFixed(4)}  beyond ${bound}: ${beyond} of ${all.length}`;
}

const models = readdirSync(goldenFolder)
  .filter((name) => name.endsWith('.json') && name !== 'perplexity.json')
  .map((name) => name.replace('.json', ''))
  .filter((name) => chosen.length === 0 || chosen.includes(name));
for (const name of models) {
  const goldens = JSON.parse(readFileSync(`${goldenFolder}/${name}.json`, 'utf8'));
  const golden = goldens.flatMap(({ steps }) => steps.flatMap(({ top }) => top.map(([, logit]) => logit)));
  const bound = /f16|f32/.test(name) ? 0.05 : 0.25;
  const path = `${modelsFolder}/${name}.gguf`;
  let first = null;
  const others = ['reference', 'cuda'].filter((backend) => process.argv.includes(`--${backend}`));
  for (const kernels of [...cpuVariants(), ...others]) {
    const isOther = others.includes(kernels);
    if (!isOther) useCpuVariant(kernels);
    const logits = await logitsOf(path, goldens, isOther ? kernels : 'cpu');
    console.log(`${name}  ${kernels} - llama.cpp:  ${difference(logits, golden, bound)}`);
    if (first) console.log(`${name}  ${kernels} - ${first.kernels}:  ${difference(logits, first.logits, bound)}`);
    first ??= { kernels, logits };
  }
}
