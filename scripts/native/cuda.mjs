// What the machine offers for building CUDA kernels: nvcc, and the devices that they would run on.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root, runProgram } from './environment.mjs';

const OLDEST = 13; // of nvcc: the first that knows sm_120 and no device before sm_75

/** Nvcc with the folders of its toolkit, or null. */
export async function findNvcc() {
  for (const command of [process.env.CUDACXX, 'nvcc', '/usr/local/cuda/bin/nvcc']) {
    if (!command) continue;
    const { status, output } = await runProgram(command, ['--version']);
    if (status !== 0) continue;
    const release = Number(/release (\d+)\./.exec(output)?.[1]);
    if (release < OLDEST) continue;
    // A dry run prints the folders, wherever the command on the PATH is a link to.
    const dry = await runProgram(command, ['--dryrun', '-x', 'cu', '/dev/null', '-c', '-o', '/dev/null']);
    const top = /^#\$ TOP=(.*)$/m.exec(dry.output)?.[1];
    if (top === undefined) continue;
    return { command: join(top, 'bin/nvcc'), version: output, include: join(top, 'include'), library: libraryOf(top) };
  }
  return null;
}

function libraryOf(top) {
  const folders = [join(top, 'lib64'), join(top, 'targets/x86_64-linux/lib'), join(top, 'targets/sbsa-linux/lib')];
  return folders.find((folder) => existsSync(join(folder, 'libcudart_static.a'))) ?? dirname(folders[0]);
}

/** Architectures of the devices here ("90"), without repeats; none where there is no driver. */
export async function deviceArchitectures() {
  if (!existsSync('/dev/nvidiactl') && !existsSync('/dev/dxg')) return [];
  const { status, output } = await runProgram('nvidia-smi', ['--query-gpu=compute_cap', '--format=csv,noheader']);
  if (status !== 0) return [];
  const found = output.split('\n').map((line) => line.trim().replace('.', ''));
  return [...new Set(found.filter((architecture) => /^\d+$/.test(architecture)))].sort();
}

/** CMake's names of all architectures of the table, with PTX for those to come. */
export function allArchitectures({ architectures }) {
  return [...architectures.map((each) => `${each}-real`), `${architectures.at(-1)}-virtual`];
}

/**
 * How to build an addon with kernels: for the architectures that are asked for (CMake's names), or for the devices here.
 * A string says why not at all.
 */
export async function cudaJob(table, asked) {
  const architectures = asked ?? (await deviceArchitectures()).map((each) => `${each}-real`);
  if (architectures.length === 0) return 'there is no NVIDIA device here';
  const nvcc = await findNvcc();
  if (nvcc === null) {
    return `nvcc ${OLDEST} or later was not found: install the CUDA toolkit, or set CUDACXX to its nvcc`;
  }
  const { flags, strict } = table.cuda;
  return { nvcc, architectures, strict: asked !== null, flags: asked ? [...flags, ...strict] : flags };
}

/** What ptxas said of the kernels whose objects lie in a folder (ptxas-log.mjs). */
export function ptxasLogs(folder) {
  const files = readdirSync(join(root, folder), { recursive: true }).filter(
    (name) => name.endsWith('.ptxas') && existsSync(join(root, folder, name.slice(0, -'.ptxas'.length))),
  );
  return files.map((name) => readFileSync(join(root, folder, name), 'utf8')).join('\n');
}

/** Nvcc's arguments for CMake's names of architectures. */
export function codeFlags(architectures) {
  return architectures.map((name) => {
    const [number, kind] = name.split('-');
    return `-gencode=arch=compute_${number},code=${kind === 'real' ? 'sm' : 'compute'}_${number}`;
  });
}
