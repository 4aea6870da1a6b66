import { type Command, Option } from 'commander';
import { BACKEND_NAMES, type BackendName } from '../backend/names.js';
import type { LoadModelOptions } from '../options.js';
import { choiceValue, wholeValue } from './values.js';

/** Options of every command that loads a model; named as LoadModelOptions. */
export interface ModelFlags {
  readonly context?: number;
  readonly backend: BackendName;
  readonly threads?: number;
  readonly adapter?: string;
  readonly nvme?: string;
  readonly unsafeNoIommu?: boolean;
  readonly vram?: string;
  readonly ram?: string;
  readonly verify?: boolean;
}

export function addBackendOptions(command: Command): Command {
  const backend = new Option('--backend <name>', 'what computes').choices(BACKEND_NAMES).default('auto');
  return command
    .addOption(backend.argParser(choiceValue('--backend', BACKEND_NAMES)))
    .option('-t, --threads <count>', 'threads (default: one a core)', wholeValue('--threads', 1, 1024))
    .option('--adapter <name>', "GPU adapter of webgpu: part of its name, or its number in 'ntx doctor'");
}

export const UNSAFE_NO_IOMMU = 'a drive behind no IOMMU too: a bug may overwrite any memory of the machine';

/** For commands that load weights. */
export function addDriveOption(command: Command): Command {
  return command
    .option('--nvme <address>', 'read a map (.ntxmap) from this drive, without the kernel: docs/nvme.md')
    .option('--unsafe-no-iommu', UNSAFE_NO_IOMMU);
}

export function addContextOption(command: Command): Command {
  const help = "tokens of context (default: the model's, at most 4096)";
  return command.option('-c, --context <tokens>', help, wholeValue('--context', 1, 2 ** 24));
}

export function addModelOptions(command: Command): Command {
  return addDriveOption(addBackendOptions(addContextOption(command)));
}

export function addBudgetOptions(command: Command): Command {
  return command
    .option('--vram <size>', 'device memory to take: 12GiB or 80% (default: what is free, less a margin)')
    .option('--ram <size>', 'the same for RAM');
}

/** Of commands that load weights. */
export function addMemoryOptions(command: Command): Command {
  return addBudgetOptions(command).option(
    '--verify',
    'compare checksums of weights that are read from disk again and again',
  );
}

export function loadOptions(flags: ModelFlags): LoadModelOptions {
  const { context, backend, threads, adapter, nvme, unsafeNoIommu, vram, ram, verify } = flags;
  return { context, backend, threads, adapter, nvme, unsafeNoIommu, vram, ram, verify };
}
