#!/usr/bin/env node
// Builds the native addons of native/flags.json into build/Release/<name>.node: with CMake through cmake-js where CMake is
// installed, else with the compiler alone. Nothing is downloaded. Runs as npm's install script, so it is quiet, does
// nothing when nothing changed, and a machine without a compiler gets one sentence and exit status 0.
//
//   node scripts/build-native.mjs [--direct] [--force] [addon...]
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildWithCmake, findCmake } from './native/cmake.mjs';
import { buildDirect } from './native/direct.mjs';
import { findCompiler, findHeaders, root } from './native/environment.mjs';
import { inputsHash, isBuilt, isCurrent, publish, withLock } from './native/state.mjs';

const COMPILER_ADVICE = 'install one (Debian: apt-get install g++ make) and run "npm run build:native"';

class BuildError extends Error {}

async function buildAddon(name, table, { direct, force }) {
  const addon = table.addons[name];
  if (addon === undefined) throw new BuildError(`there is no addon "${name}" in native/flags.json`);
  if (addon.platform !== process.platform) {
    return `${name} is not built: it is for ${addon.platform}, this is ${process.platform}; ${addon.without}`;
  }
  const compiler = await findCompiler();
  if (compiler === null && isBuilt(name)) return `${name} is left as it is: no C++ compiler was found`;
  if (compiler === null) {
    return `${name} is not built: no C++ compiler was found; ${addon.without}. To get it, ${COMPILER_ADVICE}`;
  }
  const cmake = direct ? null : await findCmake();
  const headers = findHeaders();
  const way = cmake === null ? 'direct' : cmake.version;
  const hash = inputsHash(name, addon, [compiler.version, headers.version, way, process.arch]);
  if (!force && isCurrent(name, hash)) return `${name} is up to date`;
  return withLock(async () => {
    if (!force && isCurrent(name, hash)) return `${name} is up to date`;
    const started = performance.now();
    const job = { name, addon, table, compiler, headers: headers.folders };
    const built = await (cmake === null ? buildDirect(job) : buildWithCmake(job));
    if (built.failed) {
      process.stderr.write(`${built.output}\n`);
      throw new BuildError(`building ${name} with ${compiler.command} failed; its messages are above`);
    }
    if (built.output !== '') process.stderr.write(`${built.output}\n`); // warnings
    publish(name, built.file, hash);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    return `${name} built in ${seconds} s (${cmake === null ? compiler.command : 'cmake-js'})`;
  });
}

const args = process.argv.slice(2);
const options = { direct: args.includes('--direct'), force: args.includes('--force') };
const table = JSON.parse(readFileSync(join(root, 'native/flags.json'), 'utf8'));
const named = args.filter((arg) => !arg.startsWith('--'));
try {
  for (const name of named.length > 0 ? named : Object.keys(table.addons)) {
    console.log(`ntx: ${await buildAddon(name, table, options)}`);
  }
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`ntx: ${error.message}`);
  process.exitCode = 1;
}
