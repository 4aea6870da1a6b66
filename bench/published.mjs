// What does ntx predict for the machines of the field's published figures? Plans shapes of those models for the descriptions in
// machines/, without a file or a GPU, and prints a table beside what was published (ntransformer, the engine that ntx succeeds:
// its layers are resident from the first one on, the others are streamed).
//
//   node bench/published.mjs
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const CASES = [
  { machine: 'rtx5060ti-pcie5-32gb', shape: 'llama-8b', type: 'Q8_0', published: '31.0, resident' },
  { machine: 'rtx3090-pcie3x8-48gb', shape: 'llama-8b', type: 'Q8_0', published: '48.9, resident' },
  { machine: 'rtx3090-pcie3x8-48gb', shape: 'llama-70b', type: 'Q6_K', published: '0.2, 26 + 54 layers' },
  { machine: 'rtx3090-pcie3x8-48gb', shape: 'llama-70b', type: 'Q4_K_M', published: '0.3' },
  { machine: 'rtx5060ti-pcie5-32gb', shape: 'qwen3-32b', type: 'Q4_K_M', published: '1.7' },
  { machine: 'h100-80gb', shape: 'llama-70b', type: 'Q4_K', vram: '15.5GiB', published: '2.49 (llama.cpp)' },
];

const digits = (rate) => (rate === null ? 'does not fit' : Number(rate.toPrecision(3)).toString());

const rows = CASES.map(({ machine, shape, type, vram, published }) => {
  const more = vram === undefined ? [] : ['--vram', vram];
  const args = ['plan', shape, '--type', type, '--machine', machine, '--json', ...more];
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'dist/main.js'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) process.exit(status ?? 1);
  const plan = JSON.parse(stdout);
  const { tokensPerSecond, bound } = plan.classes[plan.wanted];
  const refused = (kind) => plan.refused.find((each) => each.kind === kind)?.tokensPerSecond ?? null;
  const streamed = plan.fits ? '' : digits(refused('stream-all'));
  const first = plan.fits ? '' : digits(refused('first-layers-resident'));
  const units = plan.tiers.filter((tier) => tier.units > 0).map((tier) => `${tier.units} ${tier.tier}`);
  return [
    `${machine}${vram === undefined ? '' : `, ${vram}`}`,
    `${shape} ${type}`,
    published,
    first,
    streamed,
    `**${digits(tokensPerSecond)}** (${bound})`,
    units.join(', '),
  ];
});
const heads = [
  'machine',
  'model',
  'published tok/s',
  'first layers resident',
  'strided, streamed',
  'the plan (bound)',
  'units',
];
for (const row of [heads, heads.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`);
