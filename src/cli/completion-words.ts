// What the program and its commands take, for the scripts of `ntx completion`.
import type { Argument, Command, Option } from 'commander';

/** What may stand in a place: one of some words, a path, or anything. */
export type Values = { readonly kind: 'model' | 'file' | 'folder' | 'any' } | WordValues;
interface WordValues {
  readonly kind: 'words';
  readonly words: readonly string[];
}

export interface CompletedOption {
  /** "-p", "--prompt" */
  readonly names: readonly string[];
  readonly description: string;
  /** null: it takes no value. */
  readonly value: Values | null;
}

export interface CompletedCommand {
  /** Words behind `ntx`: "nvme map"; '' for ntx itself. */
  readonly path: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** By position; the last one may come several times where it is variadic. */
  readonly arguments: readonly Values[];
  readonly isVariadic: boolean;
  /** Names and summaries. */
  readonly subcommands: readonly CompletedCommand[];
}

export const MODEL_ENDINGS = ['gguf', 'ntxmap'];
/** Names of arguments, and of options' values, that stand for paths. */
const ARGUMENT_KINDS: Readonly<Record<string, Values['kind']>> = {
  model: 'model',
  file: 'file',
  text: 'file',
  folder: 'folder',
};
const OPTION_KINDS: Readonly<Record<string, Values['kind']>> = { file: 'file', path: 'file' };

/** What a program and its commands take. */
export function describe(command: Command, parents: readonly string[] = []): CompletedCommand {
  const help = command.createHelp();
  const subcommands = help.visibleCommands(command).filter((each) => each.name() !== 'help');
  return {
    path: parents.join(' '),
    summary: command.summary() || command.description(),
    options: help.visibleOptions(command).map(describeOption),
    arguments: command.registeredArguments.map(argumentValues),
    isVariadic: command.registeredArguments.at(-1)?.variadic ?? false,
    subcommands: subcommands.map((each) => describe(each, [...parents, each.name()])),
  };
}

function describeOption({ short, long, flags, required, optional, argChoices, description }: Option): CompletedOption {
  const names = [short, long].filter((name) => name !== undefined);
  const placeholder = /[<[](\w+)/.exec(flags)?.[1] ?? '';
  const value = required || optional ? valuesOf(argChoices, OPTION_KINDS[placeholder]) : null;
  return { names, description, value };
}

function argumentValues(argument: Argument): Values {
  return valuesOf(argument.argChoices, ARGUMENT_KINDS[argument.name()]);
}

function valuesOf(choices: readonly string[] | undefined, kind: Values['kind'] | undefined): Values {
  if (choices !== undefined) return { kind: 'words', words: choices };
  return kind === undefined || kind === 'words' ? { kind: 'any' } : { kind };
}

/** A command and all below it. */
export function withSubcommands(command: CompletedCommand): CompletedCommand[] {
  return [command, ...command.subcommands.flatMap(withSubcommands)];
}
