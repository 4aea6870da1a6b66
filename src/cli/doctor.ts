import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { BUILD_ADDONS } from '../addon.js';
import type { AdapterEntry } from '../backend/webgpu/adapter.js';
import { NtxError } from '../errors.js';
import { describeDisk } from '../placement/system.js';
import { gpuFindings } from './doctor-gpu.js';
import { readerFinding } from './doctor-reader.js';
import { type Finding, findingsText } from './finding.js';
import { describeHugePages, describeMachine, findCompiler } from './machine.js';
import { bytesText, columnsOf, print, printJson } from './output.js';
import { version } from './version.js';

/** Of the tested versions, as package.json's engines says. */
const OLDEST_NODE = [20, 17];

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('show what this machine offers and what is missing')
    .description('Shows what this machine offers to ntx and what is missing, with the command that mends it.')
    .argument('[folder]', 'where your models are (default: those that come with ntx)')
    .option('--json', 'the findings as JSON')
    .action(doctor);
}

async function doctor(folder: string | undefined, flags: { json?: boolean }): Promise<void> {
  const { EMBEDDED_MODEL } = await import('../open-model.js');
  const adapters = await findAdapters();
  const findings = [
    ...software(),
    ...(await processor()),
    ...gpuFindings(adapters),
    hugePages(),
    await embeddedModel(EMBEDDED_MODEL),
    disk(folder ?? dirname(EMBEDDED_MODEL)),
  ];
  if (flags.json) {
    const found = adapters instanceof NtxError ? [] : adapters;
    printJson({ ntx: version(), machine: describeMachine(), adapters: found, findings }, 2);
  } else print(findingsText(findings, columnsOf(process.stdout)));
}

/** Or why there is none to ask for: the package of WebGPU does not load. */
async function findAdapters(): Promise<readonly AdapterEntry[] | NtxError> {
  const { listAdapters } = await import('../backend/webgpu/adapter.js');
  return listAdapters().catch((error: unknown) => {
    if (error instanceof NtxError) return error;
    throw error;
  });
}

function software(): Finding[] {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const recent = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  const node: Finding = recent
    ? { name: 'Node', state: 'ok', found: process.version }
    : {
        name: 'Node',
        state: 'missing',
        found: process.version,
        advice: `install Node ${OLDEST_NODE.join('.')} or newer`,
      };
  return [{ name: 'ntx', state: 'ok', found: version() }, node];
}

async function processor(): Promise<Finding[]> {
  const { loadHostAddon } = await import('../backend/cpu/binding.js');
  const { cpu, cores, memoryBytes } = describeMachine();
  const loaded = loadHostAddon();
  const memory: Finding = { name: 'memory', state: 'ok', found: bytesText(memoryBytes) };
  if (loaded.addon === null) {
    const compiler = findCompiler();
    const advice = compiler === null ? 'install a C++ compiler, then ' : '';
    return [
      { name: 'processor', state: 'ok', found: `${cpu}, ${cores} threads` },
      memory,
      compilerFinding(compiler),
      {
        name: 'cpu backend',
        state: 'missing',
        found: `not there (${loaded.reason}); the slow reference runs instead`,
        advice: `${advice}${BUILD_ADDONS}`,
      },
      readerFinding(null),
    ];
  }
  const info = loaded.addon.cpuInfo();
  const kernels = `kernels ${info.variant} (this processor runs ${info.variants.join(', ')})`;
  return [
    { name: 'processor', state: 'ok', found: `${info.name}, ${info.cores} cores` },
    memory,
    { name: 'cpu backend', state: 'ok', found: kernels },
    compilerFinding(findCompiler()),
    readerFinding(loaded.addon.ioUringInfo()),
  ];
}

function compilerFinding(found: string | null): Finding {
  if (found !== null) return { name: 'C++ compiler', state: 'ok', found };
  const advice = 'install one (Debian, Ubuntu: apt-get install g++ make; Fedora: dnf install gcc-c++ make)';
  return { name: 'C++ compiler', state: 'missing', found: 'none', advice };
}

function hugePages(): Finding {
  const { transparent, reserved } = describeHugePages();
  const name = 'huge pages';
  const found = `transparent: ${transparent ?? 'not in this kernel'}; reserved: ${reserved}`;
  if (transparent !== 'never') return { name, state: transparent === null ? 'note' : 'ok', found };
  const advice = 'echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled';
  return { name, state: 'missing', found, advice };
}

async function embeddedModel(path: string): Promise<Finding> {
  const name = 'embedded model';
  try {
    await access(path, constants.R_OK);
    return { name, state: 'ok', found: path };
  } catch {
    return { name, state: 'missing', found: `${path} cannot be read`, advice: 'install ntx again' };
  }
}

function disk(folder: string): Finding {
  const name = 'disk of the models';
  try {
    const { mount, fileSystem, device, solidState, freeBytes } = describeDisk(folder);
    const parts = [
      folder,
      device ?? mount ?? '',
      fileSystem ?? '',
      solidState ? 'solid state' : '',
      `${bytesText(freeBytes)} free`,
    ];
    return { name, state: 'ok', found: parts.filter((part) => part !== '').join(', ') };
  } catch (error) {
    const found = `${folder}: ${error instanceof Error ? error.message : String(error)}`;
    return { name, state: 'missing', found, advice: 'give the folder that holds your models: ntx doctor FOLDER' };
  }
}
