// Where does the time of a pass go on this GPU, in prompts and batches too? Prints what the adapter offers, checks every kernel
// against the reference (the shared cases; --no-check leaves it out), then times whole passes of a random model of a real shape,
// and every kernel of them by timestamps. (`ntx bench --ops` does the latter for the decode of a file.) Needs dist/ (npm run
// build:ts) and, for the check, the development dependencies.
//
//   node bench/webgpu-ops.mjs [--adapter NAME] [--shape llama-8b] [--types Q8_0,Q4_K] [--layers 32] [--prompt 512]
//     [--positions 128,4096] [--tokens 200] [--context 8192] [--dawn TOGGLE]... [--no-check] [--json FILE]
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { listAdapters } from '../dist/backend/webgpu/adapter.js';
import { createWebGpuBackend } from '../dist/backend/webgpu/webgpu.js';
import { kernelTable } from '../dist/cli/kernel-table.js';
import { profilePass } from '../dist/profile.js';
import { syntheticModel } from './webgpu/model.mjs';

const { values: options } = parseArgs({
  options: {
    adapter: { type: 'string', default: '0' },
    shape: { type: 'string', default: 'llama-8b' },
    types: { type: 'string', default: 'Q8_0,Q4_K' },
    layers: { type: 'string' },
    prompt: { type: 'string', default: '512' },
    positions: { type: 'string', default: '128,4096' },
    tokens: { type: 'string', default: '200' },
    context: { type: 'string', default: '8192' },
    'no-check': { type: 'boolean', default: false },
    dawn: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
  },
});

const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'minStorageBufferOffsetAlignment',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
];

function printFacts({ device, facts }) {
  const { limits, ...plain } = facts;
  console.log(`\n${device.name}, ${device.kind}`);
  console.log(
    Object.entries(plain)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  );
  console.log(LIMITS.map((name) => `${name} ${limits[name]}`).join(', '));
}

function checkKernels() {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const vitest = `${root}node_modules/vitest/vitest.mjs`;
  const args = [vitest, 'run', '--project', 'webgpu', 'test/kernels/webgpu', '--reporter=dot'];
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, NTX_TEST_ADAPTER: options.adapter },
  });
  if (status !== 0) process.exitCode = 1;
}

/** Fills the step: `rows` tokens of one sequence from `position` on, the last with an output. */
function fill(step, rows, position) {
  step.clear();
  for (let r = 0; r < rows; r++) step.addRow((position + r) % 500, position + r, 0);
  step.addOutput(rows - 1);
}

function printKernels(title, profile) {
  console.log(`\n${title}: ${(profile.seconds * 1e3).toFixed(3)} ms in kernels\n${kernelTable(profile)}`);
}

async function timeDecode({ forward, bytesPerToken }, position, tokens) {
  const run = async (count) => {
    for (let i = 0; i < count; i++) {
      fill(forward.step, 1, position + i);
      await forward.pass();
    }
  };
  await run(10);
  const cpu = process.cpuUsage();
  const idle = performance.eventLoopUtilization();
  const started = performance.now();
  await run(tokens);
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const busy = performance.eventLoopUtilization(idle);
  return {
    position,
    tokensPerSecond: tokens / seconds,
    bytesPerSecond: (bytesPerToken * tokens) / seconds,
    mainThreadMsPerToken: busy.active / tokens,
    processMsPerToken: (user + system) / 1e3 / tokens,
  };
}

async function timePrompt({ forward }, rows) {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 4; i++) {
    fill(forward.step, rows, 0);
    const started = performance.now();
    await forward.pass();
    best = Math.min(best, performance.now() - started);
  }
  return { rows, tokensPerSecond: (rows * 1000) / best };
}

async function benchType(type) {
  const backend = await createWebGpuBackend({ adapter: options.adapter, toggles: options.dawn });
  const context = Number(options.context);
  const rows = Number(options.prompt);
  const layers = options.layers ? Number(options.layers) : undefined;
  const sizes = { maxRows: rows, maxOutputs: 8, slots: 1, context };
  const made = await syntheticModel(backend, options.shape, type, sizes, layers);
  const { forward, ops, compileSeconds, bytesPerToken } = made;
  console.log(
    `\n${options.shape} ${type}: ${ops.length} ops, kernels compiled in ${compileSeconds.toFixed(2)} s, ` +
      `${(bytesPerToken / 1e9).toFixed(2)} GB a token`,
  );
  const result = { type, compileSeconds, bytesPerToken, decode: [], batches: [], kernels: {} };
  for (const position of options.positions.split(',').map(Number)) {
    const decode = await timeDecode(made, position, Math.min(Number(options.tokens), context - position - 10));
    result.decode.push(decode);
    console.log(
      `decode at ${position}: ${decode.tokensPerSecond.toFixed(1)} tok/s, ${(decode.bytesPerSecond / 1e9).toFixed(0)} GB/s, ` +
        `main thread ${decode.mainThreadMsPerToken.toFixed(2)} ms, process ${decode.processMsPerToken.toFixed(2)} ms a token`,
    );
    fill(forward.step, 1, position);
    result.kernels[`decode at ${position}`] = await profilePass(forward);
    printKernels(`${type}, decode at ${position}`, result.kernels[`decode at ${position}`]);
  }
  for (const count of [2, 4, 8, 16, rows]) {
    const prompt = await timePrompt(made, count);
    result.batches.push(prompt);
    console.log(`${type}, ${count} rows a pass: ${prompt.tokensPerSecond.toFixed(0)} tok/s`);
  }
  fill(forward.step, rows, 0);
  result.kernels[`prompt of ${rows}`] = await profilePass(forward);
  printKernels(`${type}, prompt of ${rows}`, result.kernels[`prompt of ${rows}`]);
  made.free();
  await backend.dispose();
  return result;
}

for (const { index, name, api, kind, refused } of await listAdapters()) {
  console.log(`${index}: ${name}, ${api}, ${kind}${refused ? ` (${refused})` : ''}`);
}
const probe = await createWebGpuBackend({ adapter: options.adapter, toggles: options.dawn });
printFacts(probe);
const machine = { device: probe.device, cpu: cpus()[0]?.model, node: process.version };
await probe.dispose();
if (!options['no-check']) checkKernels();
const results = [];
for (const type of options.types.split(',')) results.push(await benchType(type));
if (options.json) {
  const about = { date: new Date().toISOString(), shape: options.shape, machine };
  writeFileSync(options.json, `${JSON.stringify({ ...about, results }, null, 1)}\n`);
}
