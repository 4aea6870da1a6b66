// What the machine offers for a native build: the compiler, the headers, and a way to run programs.
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
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

/** Node-API in C (node_api.h) and in C++ (napi.h), both from npm packages: nothing is fetched from nodejs.org. */
export function findHeaders() {
  const packages = ['node-api-headers', 'node-addon-api'];
  return {
    version: packages.map((name) => require(`${name}/package.json`).version).join(' '),
    folders: [require('node-api-headers').include_dir, dirname(require.resolve('node-addon-api/napi.h'))],
  };
}
