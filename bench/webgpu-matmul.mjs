// Which kernels are the fastest for products on this GPU, and how near to its memory's bandwidth are they? Times candidates
// side by side with timestamps, checks each against decoding in double precision, and marks what product-choice.ts takes
// with *. Weights rotate through 512 MiB, so that no cache holds them. Needs dist/ (npm run build:ts).
//
//   node bench/webgpu-matmul.mjs [--types Q8_0,Q4_K,...] [--parts vector,columns,tile,table] [--dawn FLAG]... [--best 4]
//     [--adapter NAME] [--mebibytes 512] [--shapes 4096x4096,...] [--seconds 270] [--json FILE]
//
// Of the types the first two get all candidates, the others those for one activation row.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { decodeRow } from '../dist/backend/reference/dequantize/dequantize.js';
import { inputDispatches, productDispatches } from '../dist/backend/webgpu/kernels/product.js';
import { chooseProducts } from '../dist/backend/webgpu/kernels/product-choice.js';
import { deviceReadBandwidth } from '../dist/backend/webgpu/read-bandwidth.js';
import { GGML_TYPES, typeBytes } from '../dist/gguf/types.js';
import { columnCandidates, nameOf, PATCHES, tileCandidates, vectorCandidates } from './webgpu/candidates.mjs';
import { Lab } from './webgpu/lab.mjs';
import { random, randomRows } from './webgpu/weights.mjs';

const { values: options } = parseArgs({
  options: {
    types: { type: 'string', default: 'Q8_0,Q4_K,Q6_K' },
    parts: { type: 'string', default: 'vector,columns,tile,table' },
    shapes: { type: 'string', default: '4096x4096,14336x4096,4096x14336' },
    adapter: { type: 'string' },
    dawn: { type: 'string', multiple: true, default: [] },
    best: { type: 'string', default: '4' },
    mebibytes: { type: 'string', default: '512' },
    seconds: { type: 'string', default: '270' },
    json: { type: 'string' },
  },
});

/** Distinct rows of a matrix; the others repeat them. */
const DISTINCT = 64;
/** Activation rows of the largest product. */
const MOST_ROWS = 512;
/** Rows of a product whose outcome is checked. */
const CHECKED = [0, 1, 15, 63, 255, 511];

const lab = await Lab.open([
  ...(options.adapter ? [`adapter=${options.adapter}`] : []),
  ...options.dawn.map((flag) => `enable-dawn-features=${flag}`),
]);
const { facts } = lab;
const total = Number(options.mebibytes) * 2 ** 20;
const shapes = options.shapes.split(',').map((shape) => shape.split('x').map(Number));
const widest = Math.max(...shapes.map(([, cols]) => cols));
const tallest = Math.max(...shapes.map(([rows]) => rows));
const weights = lab.memory(total, 'weights');
const out = lab.memory(4 * MOST_ROWS * 2 * tallest, 'out');
const input = lab.memory(4 * MOST_ROWS * widest, 'input');
const scratch = lab.memory(3 * MOST_ROWS * widest + 8 * tallest, 'scratch');
const activations = Float32Array.from({ length: MOST_ROWS * widest }, () => 2 * random() - 1);
lab.write(input, 0, activations);
const results = [];
const deadline = performance.now() + 1000 * Number(options.seconds);
let skipped = 0;

/** Fills the weights with rows of a type, and gives their sums with the checked rows of activations. */
async function fillWeights(type, cols, isGated) {
  const pattern = randomRows(type, DISTINCT, cols);
  lab.write(weights, 0, pattern);
  await lab.repeat(weights, pattern.length, total);
  const row = new Float64Array(cols);
  const sums = new Map(CHECKED.map((r) => [r, new Float64Array(DISTINCT)]));
  const norms = new Float64Array(DISTINCT);
  for (let n = 0; n < DISTINCT; n++) {
    decodeRow({ type, rows: DISTINCT, cols, bytes: pattern }, n, row);
    norms[n] = Math.sqrt(row.reduce((sum, w) => sum + w * w, 0));
    for (const [r, rowSums] of sums) {
      for (let k = 0; k < cols; k++) rowSums[n] += row[k] * activations[r * cols + k];
    }
  }
  return { sums, norms, isGated };
}

function productOf(type, rows, cols, isGated, index) {
  const matrixBytes = rows * typeBytes(type, cols);
  const matrices = isGated ? 2 : 1;
  const stride = Math.ceil((matrices * matrixBytes) / 256) * 256;
  const copies = Math.max(1, Math.floor(total / stride));
  const at = (index % copies) * stride;
  const weight = (offset) => ({ type, rows, cols, range: { memory: weights, offset, bytes: matrixBytes } });
  const inputRange = { memory: input, offset: 0, bytes: input.bytes };
  const outRange = { memory: out, offset: 0, bytes: 4 * MOST_ROWS * rows };
  const product = isGated
    ? { kind: 'gated', input: inputRange, gate: weight(at), up: weight(at + matrixBytes), out: outRange, over: 'rows' }
    : {
        kind: 'parts',
        input: inputRange,
        parts: [{ weight: weight(at), bias: null, out: outRange }],
        mode: 'store',
        over: 'rows',
      };
  return { product, copies, bytes: matrices * matrixBytes };
}

/** Largest error in units of what rounding allows: above 1 is wrong. */
async function errorOf({ sums, norms, isGated }, rounded, rows, height, cols) {
  const got = new Float32Array(await lab.read(out, 0, 4 * rows * height));
  const unit = rounded ? 7 / (127 * Math.sqrt(12)) : 2e-6 * Math.sqrt(cols);
  let worst = 0;
  for (const [r, rowSums] of sums) {
    if (r >= rows) continue;
    for (let n = 0; n < height; n++) {
      const sum = rowSums[n % DISTINCT];
      const error = unit * norms[n % DISTINCT];
      const silu = sum / (1 + Math.exp(-sum));
      const wanted = isGated ? silu * sum : sum;
      const limit = isGated ? 1.1 * error * Math.abs(sum) + Math.abs(silu) * error + error * error : error;
      const units = Math.abs(got[r * height + n] - wanted) / limit;
      worst = Number.isNaN(units) ? Number.POSITIVE_INFINITY : Math.max(worst, units);
    }
  }
  return worst;
}

async function timeCandidate(setup, candidate, rows) {
  const { type, height, cols, isGated, expected } = setup;
  const { choice, patch } = candidate;
  const { copies, bytes } = productOf(type, height, cols, isGated, 0);
  const rounded = choice.activations !== 'f32';
  const count = rows > 16 ? 3 : Math.min(copies, 64);
  const prepared = [];
  for (let i = 0; i < count; i++) {
    const { product } = productOf(type, height, cols, isGated, i);
    const dispatches = productDispatches(product, choice, rows, facts).map((dispatch) =>
      patch ? { ...dispatch, code: PATCHES[patch](dispatch.code) } : dispatch,
    );
    dispatches.unshift(...inputDispatches(product, choice, rows, facts));
    for (const dispatch of dispatches) prepared.push(await lab.prepare(dispatch, scratch));
  }
  const seconds = (await lab.best(prepared, rows, rows > 16 ? 2 : 4)) / count;
  const error = await errorOf(expected, rounded, rows, height, cols);
  return { seconds, bytes, error };
}

/** Times candidates and prints the best and the table's. */
async function compare(setup, candidates, rows, bandwidth) {
  if (performance.now() > deadline) {
    skipped++;
    return;
  }
  const { type, height, cols, isGated } = setup;
  const chosen = chooseProducts({ type, cols, rows: height * (isGated ? 2 : 1), gated: isGated }, rows, facts).at(
    -1,
  ).choice;
  const all = [...candidates];
  if (!all.some((candidate) => nameOf(candidate) === nameOf({ choice: chosen }))) {
    all.push({ choice: chosen });
  }
  const lines = await Promise.all(
    all.map(async (candidate) => ({
      candidate,
      name: nameOf(candidate),
      chosen: !candidate.patch && nameOf(candidate) === nameOf({ choice: chosen }),
    })),
  );
  // All pipelines are compiled at the same time.
  await Promise.all(
    all.flatMap(({ choice, patch }) =>
      productDispatches(productOf(type, height, cols, isGated, 0).product, choice, rows, facts).map((dispatch) =>
        lab.prepare(patch ? { ...dispatch, code: PATCHES[patch](dispatch.code) } : dispatch, scratch).catch(() => {}),
      ),
    ),
  );
  for (const line of lines) {
    try {
      Object.assign(line, await timeCandidate(setup, line.candidate, rows));
    } catch (error) {
      Object.assign(line, { seconds: Number.POSITIVE_INFINITY, failure: String(error).split('\n')[0].slice(0, 160) });
    }
    results.push({ type, height, cols, isGated, rows, ...line });
  }
  lines.sort((a, b) => a.seconds - b.seconds);
  const title = `${type} ${height}x${cols}${isGated ? ' gate+up' : ''}, ${rows} rows`;
  if (lines.length > 1) console.log(`\n${title}`);
  lines.forEach((line, place) => {
    const { name, seconds, bytes, error, failure } = line;
    if (place >= Number(options.best) && !line.chosen && !failure && !(error > 1)) return;
    if (failure) {
      console.log(`  ${name}: FAILED ${failure}`);
      return;
    }
    const rate = bytes / seconds;
    const flops = (2 * rows * height * cols * (isGated ? 2 : 1)) / seconds;
    const share = `${(rate / 1e9).toFixed(0).padStart(5)} GB/s ${((100 * rate) / bandwidth).toFixed(1).padStart(5)} %`;
    const speed = rows > 16 ? `${(flops / 1e12).toFixed(2).padStart(6)} TFLOP/s` : share;
    const only = lines.length > 1 ? '' : `  ${title}`;
    const state = error > 1 ? ` WRONG by ${error.toFixed(1)}` : '';
    console.log(
      `${line.chosen ? ' *' : '  '}${(1e6 * seconds).toFixed(1).padStart(8)} us ${speed}  ${name}${state}${only}`,
    );
  });
  return lines.find((line) => line.chosen);
}

const parts = options.parts.split(',');
const types = options.types.split(',');
console.log(`${lab.name}, subgroups of ${facts.subgroupMinSize} to ${facts.subgroupMaxSize}`);
const bandwidth = await deviceReadBandwidth(lab.device, total);
console.log(`read kernel: ${(bandwidth / 1e9).toFixed(0)} GB/s = 100 %`);
for (const bytes of [9.4e6, 17.8e6, 33e6, 62e6]) {
  const rate = await deviceReadBandwidth(lab.device, total, bytes);
  console.log(
    `  in pieces of ${(bytes / 1e6).toFixed(1)} MB: ${(rate / 1e9).toFixed(0)} GB/s ${((100 * rate) / bandwidth).toFixed(1)} %`,
  );
}

async function setupOf(type, height, cols, isGated) {
  return { type, height, cols, isGated, expected: await fillWeights(type, cols, isGated) };
}

for (const [index, type] of types.entries()) {
  const has = (part) => parts.includes(part) && (part === 'vector' || index < 2);
  for (const [height, cols] of shapes) {
    const setup = await setupOf(type, height, cols, false);
    if (has('vector')) await compare(setup, vectorCandidates(facts, type, false), 1, bandwidth);
    if (has('columns') && height === tallest) {
      for (const rows of [2, 4, 8, 16]) await compare(setup, columnCandidates(facts, type, rows), rows, bandwidth);
    }
    if (has('tile')) {
      for (const rows of height === tallest ? [32, 64, 512] : [512]) {
        await compare(setup, tileCandidates(type), rows, bandwidth);
      }
    }
  }
  const gated = await setupOf(type, tallest, shapes[0][1], true);
  if (has('vector')) await compare(gated, vectorCandidates(facts, type, true), 1, bandwidth);
  if (has('tile')) await compare(gated, [], 512, bandwidth);
}
if (parts.includes('table')) {
  for (const type of GGML_TYPES.filter((each) => !types.includes(each))) {
    const setup = await setupOf(type, ...shapes[0], false);
    for (const rows of [1, 4, 16, 512]) await compare(setup, [], rows, bandwidth);
  }
}
if (options.json) writeFileSync(options.json, JSON.stringify({ device: lab.name, bandwidth, results }));
const wrong = results.filter(({ error, failure }) => failure || error > 1);
console.log(
  `\n${results.length} candidates, ${wrong.length} wrong or failed, ${skipped} comparisons skipped for lack of time`,
);
lab.close();
process.exitCode = wrong.length > 0 ? 1 : 0;
