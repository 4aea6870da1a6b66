import type { Command } from 'commander';
import type { BackendName } from '../backend/index.js';
import type { LoadModelOptions } from '../options.js';
import { choiceValue, wholeValue } from './values.js';

/** Options of every command that loads a model; named as LoadModelOptions. */
export interface ModelFlags {
  readonly context?: number;
  readonly backend: BackendName;
  readonly threads?: number;
}

/** As in src/backend/index.ts, which would import the backends themselves. */
const BACKENDS = ['auto', 'cpu', 'reference'] as const satisfies readonly BackendName[];

export function addBackendOptions(command: Command): Command {
  return command
    .option('--backend <name>', `what computes: ${BACKENDS.join(', ')}`, choiceValue('--backend', BACKENDS), 'auto')
    .option('-t, --threads <count>', 'threads (default: one a core)', wholeValue('--threads', 1, 1024));
}

export function addModelOptions(command: Command): Command {
  const context = wholeValue('--context', 1, 2 ** 24);
  const help = "tokens of context (default: the model's, at most 4096)";
  return addBackendOptions(command.option('-c, --context <tokens>', help, context));
}

export function loadOptions({ context, backend, threads }: ModelFlags): LoadModelOptions {
  return { context, backend, threads };
}
