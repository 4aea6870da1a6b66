#!/usr/bin/env node
// Builds the native addons of native/flags.json into build/Release/<name>.node: with CMake through cmake-js where CMake is
// installed, else with the compiler alone. Nothing is downloaded. Runs as npm's install script, so it is quiet, does
// nothing when nothing changed, and a machine without a compiler gets one sentence and exit status 0.
//
// Addons with CUDA kernels are built for the devices that are here, where nvcc is too; with --architectures for those that it
// names ("90,120", or "all" of native/flags.json), wherever nvcc is, and warnings are errors then.
//
// With --install, as npm runs it, a binary that the package brought (scripts/prebuild.mjs) and that loads here is enough, and
// sources that this compiler does not take are no reason not to install: there is the reference backend.
//
//   node scripts/build-native.mjs [--install] [--direct] [--force] [--architectures=LIST] [addon...]
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildWithCmake, findCmake } from './native/cmake.mjs';
import { allArchitectures, cudaJob, ptxasLogs } from './native/cuda.mjs';
import { buildDirect } from './native/direct.mjs';
import { findCompiler, findHeaders, findLibraries, root } from './native/environment.mjs';
import { prebuiltLoads } from './native/prebuilt.mjs';
import { inputsHash, isBuilt, isCurrent, keep, publish, takeKept, withLock } from './native/state.mjs';

const COMPILER_ADVICE = 'install one (Debian: apt-get install g++ make) and run "npm run build:native"';

class BuildError extends Error {}

async function buildAddon(name, table, { install, direct, force, architectures }) {
  const addon = table.addons[name];
  if (addon === undefined) throw new BuildError(`there is no addon "${name}" in native/flags.json`);
  if (addon.platform !== process.platform) {
    return `${name} is not built: it is for ${addon.platform}, this is ${process.platform}; ${addon.without}`;
  }
  if (install && (await prebuiltLoads(name, addon))) return `${name} came with the package`;
  const cuda = addon.cuda ? await cudaJob(table, architectures) : null;
  if (typeof cuda === 'string') {
    if (architectures) throw new BuildError(`${name} is not built: ${cuda}`);
    return isBuilt(name) ? `${name} is left as it is: ${cuda}` : `${name} is not built: ${cuda}; ${addon.without}`;
  }
  const compiler = await findCompiler();
  if (compiler === null && isBuilt(name)) return `${name} is left as it is: no C++ compiler was found`;
  if (compiler === null) {
    return `${name} is not built: no C++ compiler was found; ${addon.without}. To get it, ${COMPILER_ADVICE}`;
  }
  const cmake = direct ? null : await findCmake();
  const headers = findHeaders();
  const way = cmake === null ? 'direct' : cmake.version;
  const libraries = await findLibraries(compiler, addon.optional);
  const found = libraries.map(({ name }) => name);
  const tools = [compiler.version, headers.version, way, process.arch, ...(cuda ? [cuda.nvcc.version] : []), ...found];
  const hash = inputsHash(name, addon, [...tools, cuda?.architectures]);
  // What was built for all architectures serves the devices here as well.
  const isEnough = () =>
    isCurrent(name, hash) ||
    (cuda && isCurrent(name, inputsHash(name, addon, [...tools, allArchitectures(table.cuda)])));
  if (!force && isEnough()) return `${name} is up to date`;
  return withLock(async () => {
    if (!force && isEnough()) return `${name} is up to date`;
    if (!force && takeKept(name, hash)) return `${name} is as another checkout built it`;
    const started = performance.now();
    const job = { name, addon, table, compiler, headers: headers.folders, cuda, libraries };
    const built = await (cmake === null ? buildDirect(job) : buildWithCmake(job));
    if (built.failed) {
      process.stderr.write(`${built.output}\n`);
      throw new BuildError(`building ${name} with ${compiler.command} failed; its messages are above`);
    }
    if (built.output !== '') process.stderr.write(`${built.output}\n`); // warnings
    publish(
      name,
      built.file,
      hash,
      cuda ? ptxasLogs(cmake === null ? `build/direct/${name}` : 'build/cmake-cuda') : null,
    );
    keep(name, hash);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    return `${name} built in ${seconds} s (${cmake === null ? compiler.command : 'cmake-js'})`;
  });
}

function architecturesOf(list) {
  if (list === 'all') return allArchitectures(table.cuda);
  return list.split(',').map((each) => `${each}-real`);
}

/** What an install says of an addon that could not be built; otherwise that is an error. */
function failure(error, name) {
  if (!options.install || !(error instanceof BuildError)) throw error;
  return `${error.message}; ${table.addons[name].without}`;
}

const args = process.argv.slice(2);
const table = JSON.parse(readFileSync(join(root, 'native/flags.json'), 'utf8'));
const list = args.find((arg) => arg.startsWith('--architectures='))?.split('=')[1];
const options = {
  install: args.includes('--install'),
  direct: args.includes('--direct'),
  force: args.includes('--force'),
  architectures: list === undefined ? null : architecturesOf(list),
};
const named = args.filter((arg) => !arg.startsWith('--'));
try {
  for (const name of named.length > 0 ? named : Object.keys(table.addons)) {
    console.log(`ntx: ${await buildAddon(name, table, options).catch((error) => failure(error, name))}`);
  }
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`ntx: ${error.message}`);
  process.exitCode = 1;
}
