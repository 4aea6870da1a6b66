#!/usr/bin/env node
// Makes the binaries that a package brings for this platform: builds the addons and copies them to
// prebuilds/<platform>-<arch>. Run on every platform that is to be served, with the folders put together, before "npm pack".
// Built on an old distribution they serve newer ones; the CUDA addon is part of it where nvcc is, for all architectures.
//
//   node scripts/prebuild.mjs [FOLDER [addon...]]
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { findNvcc } from './native/cuda.mjs';
import { root } from './native/environment.mjs';
import { copyPrebuilt } from './native/prebuilt.mjs';

const [to = join(root, 'prebuilds'), ...named] = process.argv.slice(2);
const folder = resolve(to);
const { addons } = JSON.parse(readFileSync(join(root, 'native/flags.json'), 'utf8'));
for (const [name, addon] of Object.entries(addons)) {
  if (named.length > 0 && !named.includes(name)) continue;
  if (addon.platform !== process.platform || (addon.cuda && (await findNvcc()) === null)) {
    console.log(`ntx: ${name} is left out: ${addon.cuda ? 'nvcc was not found' : `it is for ${addon.platform}`}`);
    continue;
  }
  const architectures = addon.cuda ? ['--architectures=all'] : [];
  const args = [join(root, 'scripts/build-native.mjs'), ...architectures, name];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  const file = status === 0 ? copyPrebuilt(name, addon, folder) : null;
  if (file === null) {
    console.error(`ntx: ${name} could not be built; the reason is above`);
    process.exit(1);
  }
  console.log(`ntx: ${file}`);
}
