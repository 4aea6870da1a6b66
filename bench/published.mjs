// What does ntx predict for the machines of the field's published figures? Plans shapes of those models for the descriptions in
// machines/, without a file or a GPU, and prints a table beside what was published (ntransformer, the engine that ntx succeeds:
// its layers are resident from the first one on, the others are streamed).
//
//   node bench/published.mjs [--save]
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { saveResult } from './save.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const CASES = [
  { machine: 'rtx5060ti-pcie5-32gb', shape: 'llama-8b', type: 'Q8_0', published: '31.0, resident' },
  { machine: 'rtx3090-pcie3x8-48gb', shape: 'llama-8b', type: 'Q8_0', published: '48.9, resident' },
  { machine: 'rtx3090-pcie3x8-48gb', shape: 'llama-70b', type: 'Q6_K', published: '0.2, 26 + 54 layers' },
  { machine: 'rtx3090-pcie3x8-48gb', shape: 'llama-70b', type: 'Q4_K_M', published: '0.3' },
  { machine: 'rtx5060ti-pcie5-32gb', shape: 'qwen3-32b', type: 'Q4_K_M', published: '1.7' },
  { machine: 'h100-80gb', shape: 'llama-70b', type: 'Q4_K', vram: '15.5GiB', published: '2.49 (llama.cpp)' },
];

const results = CASES.map(({ machine, shape, type, vram, published }) => {
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
  const refused = (kind) =>
    plan.fits ? null : (plan.refused.find((each) => each.kind === kind)?.tokensPerSecond ?? null);
  return {
    ...{ machine, vram: vram ?? null, model: `${shape} ${type}`, published, fits: plan.fits },
    ...{ firstLayersResident: refused('first-layers-resident'), streamAll: refused('stream-all') },
    ...{ tokensPerSecond, bound },
    units: plan.tiers.filter(({ units }) => units > 0).map(({ tier, units }) => ({ tier, units })),
  };
});
for (const { machine, vram, model, published, tokensPerSecond, bound } of results) {
  const where = vram === null ? machine : `${machine}, ${vram}`;
  console.log(
    `${where}: ${model} published ${published}, predicted ${tokensPerSecond.toPrecision(3)} tok/s (${bound})`,
  );
}
if (process.argv.includes('--save')) saveResult('published', { results });
