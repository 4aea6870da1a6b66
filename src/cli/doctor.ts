import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import {
  describeDisk,
  describeHugePages,
  describeMachine,
  findCompiler,
  findNvidiaDriver,
  findVulkanLoader,
} from './machine.js';
import { bytesText, print, printJson, table } from './output.js';
import { version } from './version.js';

/** One thing that was looked at. */
interface Finding {
  readonly name: string;
  /** ok; missing: something would be better or run at all with it; note: worth knowing. */
  readonly state: 'ok' | 'missing' | 'note';
  readonly found: string;
  /** What mends it: a command where there is one. */
  readonly advice?: string;
}

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
  const findings = [
    ...software(),
    ...(await processor()),
    hugePages(),
    await embeddedModel(EMBEDDED_MODEL),
    disk(folder ?? dirname(EMBEDDED_MODEL)),
    ...notUsedYet(),
  ];
  if (flags.json) printJson({ ntx: version(), machine: describeMachine(), findings }, 2);
  else print(asText(findings));
}

function asText(findings: readonly Finding[]): string {
  const marks = { ok: 'ok', missing: '--', note: '..' };
  const rows = findings.map(({ name, state, found }) => [marks[state], name, found]);
  const advice = findings.filter(({ state }) => state === 'missing').map(({ name, advice }) => `${name}: ${advice}\n`);
  return `${table(rows)}\n${advice.length > 0 ? `To mend:\n${advice.join('')}` : 'Nothing is missing.\n'}`;
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
        ...{
          name: 'cpu backend',
          state: 'missing',
          found: `not there (${loaded.reason}); the slow reference runs instead`,
        },
        advice: `${advice}run "npm run build:native" in the folder of ntx`,
      },
    ];
  }
  const info = loaded.addon.cpuInfo();
  const kernels = `kernels ${info.variant} (this processor runs ${info.variants.join(', ')})`;
  return [
    { name: 'processor', state: 'ok', found: `${info.name}, ${info.cores} cores` },
    memory,
    { name: 'cpu backend', state: 'ok', found: kernels },
    compilerFinding(findCompiler()),
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

function notUsedYet(): Finding[] {
  const driver = findNvidiaDriver();
  const vulkan = findVulkanLoader();
  const note = (name: string, found: string): Finding => ({
    name,
    state: 'note',
    found: `${found}; not used yet by this version`,
  });
  return [
    ...(driver === null ? [] : [note('NVIDIA driver', driver)]),
    ...(vulkan === null ? [] : [note('Vulkan loader', vulkan)]),
  ];
}
