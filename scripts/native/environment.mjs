// What the machine offers for a native build: the compiler, the headers, and a way to run programs.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

const require = createRequire(import.meta.url);

/** Runs a program to its end: its exit status (-1 when it cannot be started) and what it wrote, both streams in one. */
export function runProgram(command, args) {
  return new Promise((resolve) => {
    execFile(command, args, { maxBuffer: 64 << 20, cwd: root }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ status, output: `${stdout}${stderr}`.trim() });
    });
  });
}

/** The first of $CXX, g++ and clang++ that runs, or null. */
export async function findCompiler() {
  for (const command of [process.env.CXX, 'g++', 'clang++']) {
    if (!command) continue;
    const { status, output } = await runProgram(command, ['--version']);
    if (status === 0) return { command, version: output };
  }
  return null;
}

/** The package that drives CMake, and brings the headers of Node-API. */
export const cmakeJsProgram = require.resolve('cmake-js/bin/cmake-js');

/** Node-API in C (node_api.h) and in C++ (napi.h), both from npm packages: nothing is fetched from nodejs.org. */
export function findHeaders() {
  const fromCmakeJs = createRequire(cmakeJsProgram);
  return {
    version: [fromCmakeJs('node-api-headers/package.json'), require('node-addon-api/package.json')]
      .map(({ version }) => version)
      .join(' '),
    folders: [fromCmakeJs('node-api-headers').include_dir, dirname(require.resolve('node-addon-api/napi.h'))],
  };
}

/**
 * Those of an addon's optional libraries that a shared object can be linked with here. Tried with the compiler itself, for
 * both ways to build: a header alone does not say that the static library is there, or that it is position-independent.
 */
export async function findLibraries(compiler, optional = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'ntx-probe-'));
  const source = join(folder, 'probe.cc');
  const found = [];
  try {
    for (const [name, { include, call, link, define }] of Object.entries(optional)) {
      writeFileSync(source, `#include <${include}>\nvoid* probe() { return (void*)${call}; }\n`);
      const args = ['-shared', '-fPIC', source, '-Wl,--no-undefined', ...link, '-o', join(folder, 'probe.so')];
      if ((await runProgram(compiler.command, args)).status === 0) found.push({ name, link, define });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return found;
}
