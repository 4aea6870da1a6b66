#!/usr/bin/env node
// Builds dist/: the planner to WASM by asc, the TypeScript by tsc; dist/main.js is the program that npm links as `ntx`.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** The script behind a package's command, run by this very Node: it need not be on the PATH. */
function program(packageName, command) {
  const manifest = require.resolve(`${packageName}/package.json`);
  const { bin } = require(manifest);
  return join(dirname(manifest), typeof bin === 'string' ? bin : bin[command]);
}

function run(packageName, command, args) {
  const { status } = spawnSync(process.execPath, [program(packageName, command), ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) {
    console.error(`ntx: ${command} failed; its messages are above`);
    process.exit(1);
  }
}

/** What earlier builds left of sources that are gone would be packed as well. */
function removeOrphans() {
  for (const file of readdirSync(join(root, 'dist'), { recursive: true })) {
    const stem = /^(.*?)\.(?:d\.ts|js|js\.map)$/.exec(file)?.[1];
    if (stem !== undefined && !existsSync(join(root, 'src', `${stem}.ts`))) rmSync(join(root, 'dist', file));
  }
}

mkdirSync(join(root, 'dist'), { recursive: true });
removeOrphans();
run('assemblyscript', 'asc', ['--config', 'asconfig.json', '--target', 'release']);
run('typescript', 'tsc', ['-p', 'tsconfig.build.json']);
const main = join(root, 'dist/main.js');
if (existsSync(main)) chmodSync(main, 0o755);
