import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { cmakeJsProgram, root, runProgram } from './environment.mjs';

const OLDEST = [3, 19]; // string(JSON) of CMakeLists.txt

/** CMake and a program to run its builds, or null. */
export async function findCmake() {
  const { status, output } = await runProgram('cmake', ['--version']);
  const version = /cmake version (\d+)\.(\d+)/.exec(output);
  if (status !== 0 || version === null) return null;
  const [major, minor] = [Number(version[1]), Number(version[2])];
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) return null;
  for (const builder of ['ninja', 'make']) {
    if ((await runProgram(builder, ['--version'])).status === 0) return { version: version[0] };
  }
  return null;
}

function cudaOptions({ nvcc, architectures, strict }) {
  const values = {
    CMAKE_CUDA_COMPILER: nvcc.command,
    NTX_CUDA_ARCHITECTURES: architectures.join(';'),
    NTX_CUDA_STRICT: strict ? 'ON' : 'OFF',
    NTX_NODE: process.execPath,
  };
  return Object.entries(values).map(([name, value]) => `--CD${name}=${value}`);
}

/** Configures and builds one addon; a failure of an old build folder (a moved checkout, another compiler) gets a fresh one. */
export async function buildWithCmake({ name, compiler, cuda, libraries }) {
  const folder = join(root, cuda ? 'build/cmake-cuda' : 'build/cmake');
  const run = (command) =>
    runProgram(process.execPath, [
      ...[cmakeJsProgram, command, '--directory', root, '--out', folder, '--target', name, '--log-level', 'error'],
      ...['--parallel', String(availableParallelism()), `--CDCMAKE_CXX_COMPILER=${compiler.command}`],
      `--CDNTX_LIBRARIES=${libraries.map((library) => library.name).join(';')}`,
      ...(cuda ? cudaOptions(cuda) : []),
    ]);
  let configured = await run('configure');
  if (configured.status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    configured = await run('configure');
  }
  if (configured.status !== 0) return { failed: true, output: configured.output, file: '' };
  const built = await run('build');
  const warnings = built.output.split('\n').some((line) => /warning:/.test(line)) ? built.output : '';
  return {
    failed: built.status !== 0,
    output: built.status === 0 ? warnings : built.output,
    file: join(folder, 'Release', `${name}.node`),
  };
}
