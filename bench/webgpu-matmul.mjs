// Which kernels are the fastest for products on this GPU, and how near to its memory's bandwidth are they? Times candidates
// side by side with timestamps, checks each against decoding in double precision, and marks what product-choice.ts takes
// with *. Weights rotate through 512 MiB, so that no cache holds them. Needs dist/ (npm run build:ts).
//
//   node bench/webgpu-matmul.mjs [--types Q8_0,Q4_K,...] [--parts vector,columns,tile,table] [--dawn FLAG]... [--best 5]
//     [--adapter NAME] [--mebibytes 512] [--shapes 4096x4096,...] [--json FILE]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { decodeRow } from '../dist/backend/reference/dequantize/dequantize.js';
import { codeBytes, productDispatches, quantizeDispatch } from '../dist/backend/webgpu/kernels/product.js';
import { chooseProducts } from '../dist/backend/webgpu/kernels/product-choice.js';
import { GGML_TYPES, TYPES, typeBytes } from '../dist/gguf/types.js';
import { Lab } from './webgpu/lab.mjs';
import { random, randomRows } from './webgpu/weights.mjs';

const { values: options } = parseArgs({
  options: {
    types: { type: 'string', default: 'Q8_0,Q4_K,Q6_K' },
    parts: { type: 'string', default: 'vector,columns,tile,table' },
    shapes: { type: 'string', default: '4096x4096,14336x4096,4096x14336' },
    adapter: { type: 'string' },
    dawn: { type: 'string', multiple: true, default: [] },
    best: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '512' },
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
const scratch = lab.memory(codeBytes(MOST_ROWS, widest), 'scratch');
const activations = Float32Array.from({ length: MOST_ROWS * widest }, () => 2 * random() - 1);
lab.write(input, 0, activations);
const results = [];

const READ = `
override QUADS: u32;
override THREADS: u32;
@group(0) @binding(0) var<storage, read> bytes: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> result: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = vec4u();
  for (var i = id.x; i < QUADS; i += 4u * THREADS) {
    sum ^= bytes[i] ^ bytes[min(i + THREADS, QUADS - 1u)] ^ bytes[min(i + 2u * THREADS, QUADS - 1u)]
      ^ bytes[min(i + 3u * THREADS, QUADS - 1u)];
  }
  if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 0x12345678u) {
    result[id.x] = sum.x;
  }
}`;

/** Bytes a second of a kernel that only reads, in pieces of `bytes`; several launches, the best counts. */
async function readBandwidth(bytes) {
  const size = Math.min(bytes, total, facts.limits.maxStorageBufferBindingSize);
  let best = 0;
  for (const groups of [528, 1056, 2112, 4224]) {
    const pieces = Math.max(1, Math.floor(total / size));
    const prepared = [];
    for (let p = 0; p < pieces; p++) {
      const offset = Math.floor((p * size) / 256) * 256;
      const range = { memory: weights, offset, bytes: Math.min(size, total - offset) };
      const outRange = { memory: out, offset: 0, bytes: out.bytes };
      const dispatch = {
        code: READ,
        constants: { QUADS: Math.floor(range.bytes / 16), THREADS: 256 * groups },
        bindings: [{ range, access: 'read' }, null, null, { range: outRange, access: 'read-write' }],
        groups: () => [groups, 1, 1],
      };
      prepared.push(await lab.prepare(dispatch, scratch));
    }
    best = Math.max(best, (pieces * size) / (await lab.best(prepared, 1)));
  }
  return best;
}

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
async function errorOf({ sums, norms, isGated }, int8, rows, height, cols) {
  const got = new Float32Array(await lab.read(out, 0, 4 * rows * height));
  const unit = int8 ? 7 / (127 * Math.sqrt(12)) : 2e-6 * Math.sqrt(cols);
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

const PATCHES = {
  // Bytes to floats by conversion instead of through mantissas.
  convert: (code) =>
    code
      .replace(
        /fn byte_0\(v: Bits\) -> Reals \{[^}]*\}/,
        'fn byte_0(v: Bits) -> Reals {\n  return Reals((bitcast<Ints>(v << Bits(24u))) >> Bits(24u));\n}',
      )
      .replace(
        /fn byte_1\(v: Bits\) -> Reals \{[^}]*\}/,
        'fn byte_1(v: Bits) -> Reals {\n  return Reals((bitcast<Ints>(v << Bits(16u))) >> Bits(24u));\n}',
      ),
  // Q8_0: 16 codes a thread instead of 8.
  sixteen: (code) =>
    code
      .replace('const ITEM_WORDS = 2u;', 'const ITEM_WORDS = 4u;')
      .replace('return 8u * item;', 'return 16u * item;')
      .replace(
        /fn load_item\([\s\S]*?\n\}/,
        'fn load_item(at: Bits, item: u32) -> Item {\n  let s = load_16(at, item);\n  return Item(s.codes, array(s.scale), array(Reals()));\n}',
      ),
};

const nameOf = ({ choice, patch }) => {
  const how =
    choice.family === 'vector'
      ? `${choice.lanes}x${choice.tiles} rows, split ${choice.split}, ${choice.threads} threads, ${choice.columns} cols`
      : `tile ${16 * choice.tm}x${16 * choice.tn}${choice.ahead ? ' ahead' : ''}`;
  return `${choice.activations} ${how}${patch ? ` (${patch})` : ''}`;
};

async function timeCandidate(setup, candidate, rows) {
  const { type, height, cols, isGated, expected } = setup;
  const { choice, patch } = candidate;
  const { copies, bytes } = productOf(type, height, cols, isGated, 0);
  const int8 = choice.activations === 'int8';
  const count = rows > 16 ? 3 : Math.min(copies, 64);
  const prepared = [];
  for (let i = 0; i < count; i++) {
    const { product } = productOf(type, height, cols, isGated, i);
    const dispatches = productDispatches(product, choice, rows, facts).map((dispatch) =>
      patch ? { ...dispatch, code: PATCHES[patch](dispatch.code) } : dispatch,
    );
    if (int8) dispatches.unshift(quantizeDispatch(product, rows, facts));
    for (const dispatch of dispatches) prepared.push(await lab.prepare(dispatch, scratch));
  }
  const seconds = (await lab.best(prepared, rows, rows > 16 ? 2 : 4)) / count;
  const error = await errorOf(expected, int8, rows, height, cols);
  return { seconds, bytes, error };
}

/** Times candidates and prints the best and the table's. */
async function compare(setup, candidates, rows, bandwidth) {
  const { type, height, cols, isGated } = setup;
  const chosen = chooseProducts({ type, cols, rows: height * (isGated ? 2 : 1), gated: isGated }, rows, facts).at(
    -1,
  ).choice;
  const all = [...candidates];
  if (!all.some(({ choice, patch }) => !patch && JSON.stringify(choice) === JSON.stringify(chosen))) {
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
  console.log(`\n${type} ${height}x${cols}${isGated ? ' gate+up' : ''}, ${rows} rows`);
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
    const state = error > 1 ? ` WRONG by ${error.toFixed(1)}` : '';
    console.log(`${line.chosen ? ' *' : '  '}${(1e6 * seconds).toFixed(1).padStart(8)} us ${speed}  ${name}${state}`);
  });
  return lines.find((line) => line.chosen);
}

const subgroup = facts.subgroups && facts.subgroupMinSize === facts.subgroupMaxSize ? facts.subgroupMaxSize : 1;

function vectors(activations, columns, grid, tilings) {
  const most = Math.min(256, facts.limits.maxComputeInvocationsPerWorkgroup);
  return tilings.flatMap(([lanes, tiles]) =>
    grid
      .filter(([split, threads]) => threads <= most && split >= subgroup)
      .map(([split, threads]) => ({
        choice: { family: 'vector', activations, columns, lanes, tiles, split, threads, subgroup },
      })),
  );
}

const isCoded = (type) => TYPES[type].blockWeights > 1;
const WIDE_GRID = [
  [32, 64],
  [32, 128],
  [32, 256],
  [64, 64],
  [64, 128],
  [128, 128],
  [256, 256],
];
const GRID = [
  [32, 128],
  [64, 128],
  [128, 128],
];

/** Candidates for one activation row. */
function vectorCandidates(type, isGated) {
  const tilings = isGated
    ? [
        [1, 2],
        [2, 2],
        [4, 2],
        [4, 4],
      ]
    : [
        [2, 1],
        [4, 1],
        [4, 2],
      ];
  const patched = (patch) => vectors('f32', 1, GRID, tilings.slice(-2)).map((each) => ({ ...each, patch }));
  return [
    ...vectors('f32', 1, WIDE_GRID, tilings),
    ...(isCoded(type) ? [...vectors('int8', 1, GRID, tilings.slice(-2)), ...patched('convert')] : []),
    ...(type === 'Q8_0' ? patched('sixteen') : []),
  ];
}

function columnCandidates(type, columns) {
  const tilings =
    columns > 8
      ? [
          [2, 1],
          [4, 1],
        ]
      : [
          [2, 1],
          [4, 1],
          [4, 2],
        ];
  return [
    ...(columns <= 8 || !isCoded(type) ? vectors('f32', columns, GRID, tilings) : []),
    ...(isCoded(type) ? vectors('int8', columns, GRID, [...tilings, [4, 2]].slice(0, 3)) : []),
  ];
}

function tileCandidates(type) {
  const sizes = [
    [1, 8],
    [2, 4],
    [2, 8],
    [4, 4],
    [4, 8],
    [8, 4],
    [8, 8],
  ];
  const tile =
    (activations, ahead) =>
    ([tm, tn]) => ({ choice: { family: 'tile', activations, tm, tn, ahead } });
  return isCoded(type)
    ? [...sizes.map(tile('int8', true)), ...sizes.map(tile('int8', false)), tile('f32', false)([4, 8])]
    : sizes.map(tile('f32', false));
}

const parts = options.parts.split(',');
const types = options.types.split(',');
console.log(`${lab.name}, subgroups of ${facts.subgroupMinSize} to ${facts.subgroupMaxSize}, f16 ${facts.f16}`);
console.log(`subgroup matrices: ${JSON.stringify(facts.subgroupMatrices)}`);
const bandwidth = await readBandwidth(total);
console.log(`read kernel: ${(bandwidth / 1e9).toFixed(0)} GB/s = 100 %`);
for (const bytes of [9.4e6, 17.8e6, 33e6, 62e6]) {
  const rate = await readBandwidth(Math.floor(bytes / 256) * 256);
  console.log(
    `  in pieces of ${(bytes / 1e6).toFixed(1)} MB: ${(rate / 1e9).toFixed(0)} GB/s ${((100 * rate) / bandwidth).toFixed(1)} %`,
  );
}

async function setupOf(type, height, cols, isGated) {
  return { type, height, cols, isGated, expected: await fillWeights(type, cols, isGated) };
}

for (const type of types) {
  for (const [height, cols] of shapes) {
    const setup = await setupOf(type, height, cols, false);
    if (parts.includes('vector')) await compare(setup, vectorCandidates(type, false), 1, bandwidth);
    if (parts.includes('columns') && height === tallest) {
      for (const rows of [2, 4, 8, 16]) await compare(setup, columnCandidates(type, rows), rows, bandwidth);
    }
    if (parts.includes('tile')) {
      for (const rows of height === tallest ? [32, 64, 512] : [512])
        await compare(setup, tileCandidates(type), rows, bandwidth);
    }
  }
  if (parts.includes('vector')) {
    const gated = await setupOf(type, tallest, shapes[0][1], true);
    await compare(gated, vectorCandidates(type, true), 1, bandwidth);
  }
}
if (parts.includes('table')) {
  for (const type of GGML_TYPES.filter((each) => !types.includes(each))) {
    const setup = await setupOf(type, ...shapes[0], false);
    for (const rows of [1, 4, 16, 512]) await compare(setup, [], rows, bandwidth);
  }
}
if (options.json) writeFileSync(options.json, JSON.stringify({ device: lab.name, bandwidth, results }));
const wrong = results.filter(({ error, failure }) => failure || error > 1);
console.log(`\n${results.length} candidates, ${wrong.length} wrong or failed`);
lab.close();
process.exitCode = wrong.length > 0 ? 1 : 0;
