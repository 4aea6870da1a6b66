#!/usr/bin/env node
// Packs what a GPU host without network needs to check and measure the cuda and webgpu backends: the program, the addons, the
// tests of both with vitest's runner, and run.sh, which runs them. The host has to have Node; webgpu needs the GPU's Vulkan
// driver, and the package's binary for this machine, which --without-dawn leaves out where the host gets it another way.
//
//   node scripts/gpu-host.mjs FOLDER [--without-models] [--without-dawn]
//   on the host: FOLDER/run.sh [kernels|model|bench|measure|webgpu-kernels|webgpu-model|webgpu-bench]...
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './native/environment.mjs';

const RUN = `#!/usr/bin/env bash
# Runs what it is asked for, all of cuda by default; stops at the first failure.
#   MODELS: where the synthetic models of bench are written   TYPES, SHAPE: which ones
set -euo pipefail
cd "$(dirname "$0")"
models=\${MODELS:-/tmp/ntx-models}
shape=\${SHAPE:-llama-8b}
for part in \${@:-kernels model bench}; do
  case $part in
    kernels) for file in test/kernels/cuda*.test.js; do node test/gpu-host/suites.mjs "$file"; done ;;
    model) node test/gpu-host/suites.mjs test/model/cuda*.test.js ;;
    bench)
      mkdir -p "$models"
      for type in \${TYPES:-Q8_0 Q4_K}; do
        [ -f "$models/$shape-$type.gguf" ] || node dist/main.js synth "$shape" "$models/$shape-$type.gguf" --type "$type"
        node dist/main.js bench "$models/$shape-$type.gguf" --backend cuda --ops
      done ;;
    measure)
      # The description of this machine, as the files in machines/ have it, and what would run on it.
      for backend in cuda webgpu; do
        node dist/main.js measure --backend "$backend" || continue
        node dist/main.js plan llama-70b --type Q4_K --backend "$backend" --vram "\${VRAM:-15.5GiB}"
        [ -z "\${OUT:-}" ] || node dist/main.js measure --backend "$backend" --json > "$OUT/machine-$backend.json"
      done ;;
    webgpu-kernels)
      # A driver compiles for minutes what it runs in seconds: a process for each kind of case, side by side.
      jobs=()
      for only in 'embed|rms-norm|rope|top-k|sequence' attention gated-matmul 'matmul F|matmul B' 'matmul Q[24]' 'matmul Q[35]' 'matmul Q[68]'; do
        node test/gpu-host/suites.mjs --only " ($only)" test/kernels/webgpu.test.js & jobs+=($!)
      done
      for file in flow products device drawing; do node test/gpu-host/suites.mjs "test/kernels/webgpu-$file.test.js" & jobs+=($!); done
      for job in "\${jobs[@]}"; do wait "$job"; done ;;
    webgpu-model) node test/gpu-host/suites.mjs test/model/webgpu.test.js test/model/webgpu-streaming.test.js test/model/webgpu-on-cpu.test.js ;;
    webgpu-bench)
      mkdir -p "$models"
      for type in \${TYPES:-Q8_0 Q4_K}; do
        [ -f "$models/$shape-$type.gguf" ] || node dist/main.js synth "$shape" "$models/$shape-$type.gguf" --type "$type"
        node dist/main.js bench "$models/$shape-$type.gguf" --backend webgpu --ops --repeat 7 --tokens 128
        node bench/js-share.mjs "$models/$shape-$type.gguf" webgpu 512
      done
      node bench/memory.mjs --backend webgpu ;;
    *) echo "run.sh: expected kernels, model, bench, measure or webgpu- and one of them, got $part" >&2; exit 2 ;;
  esac
done
`;

const { values, positionals } = parseArgs({
  options: {
    'without-models': { type: 'boolean', default: false },
    'without-dawn': { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const [folder] = positionals;
if (folder === undefined) {
  console.error('usage: node scripts/gpu-host.mjs FOLDER [--without-models] [--without-dawn]');
  process.exit(2);
}

/** Packages that the program needs at run time, with what those need. */
function dependencies(names, found = new Set()) {
  for (const name of names) {
    if (found.has(name) || !existsSync(join(root, 'node_modules', name))) continue;
    found.add(name);
    const manifest = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
    dependencies(Object.keys(manifest.dependencies ?? {}), found);
  }
  return found;
}

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const run = (...args) => {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
rmSync(folder, { recursive: true, force: true });
mkdirSync(join(folder, 'build'), { recursive: true });
run(tsc, '-p', 'test/gpu-host/tsconfig.json', '--outDir', folder);
run(
  tsc,
  '-p',
  'tsconfig.build.json',
  '--outDir',
  join(folder, 'dist'),
  '--sourceMap',
  'false',
  '--declaration',
  'false',
);
for (const name of [
  'package.json',
  'build/Release',
  'kernels',
  'machines',
  'dist/planner.wasm',
  'bench',
  'test/model/vectors',
  'test/gpu-host/suites.mjs',
]) {
  cpSync(join(root, name), join(folder, name), { recursive: true });
}
if (!values['without-models']) cpSync(join(root, 'models'), join(folder, 'models'), { recursive: true });
const { dependencies: direct } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
// Those that only build, and what brings binaries for every system.
const unneeded = new Set(['cmake-js', 'node-addon-api', 'webgpu']);
const needed = Object.keys(direct).filter((name) => !unneeded.has(name));
for (const name of dependencies([...needed, '@vitest/runner', '@vitest/expect', 'fast-check'])) {
  cpSync(join(root, 'node_modules', name), join(folder, 'node_modules', name), { recursive: true });
}
const dawn = `dist/${process.platform}-${process.arch}`;
for (const name of ['package.json', 'index.js', ...(values['without-dawn'] ? [] : [dawn])]) {
  cpSync(join(root, 'node_modules/webgpu', name), join(folder, 'node_modules/webgpu', name), { recursive: true });
}
const vitest = join(folder, 'node_modules/vitest');
mkdirSync(vitest);
cpSync(join(root, 'test/gpu-host/vitest.mjs'), join(vitest, 'index.mjs'));
writeFileSync(join(vitest, 'package.json'), JSON.stringify({ name: 'vitest', exports: './index.mjs' }));
writeFileSync(join(folder, 'run.sh'), RUN);
chmodSync(join(folder, 'run.sh'), 0o755);
console.log(`ntx: packed into ${folder}`);
