// The command line. A command's file declares its options; what it runs is imported when it runs, so that ntx starts fast.
import { Command, CommanderError } from 'commander';
import { NtxError } from '../errors.js';
import { addBench } from './bench.js';
import { addChat } from './chat.js';
import { addCompletion } from './completion.js';
import { addDoctor } from './doctor.js';
import { addInspect } from './inspect.js';
import { addMeasure } from './measure.js';
import { addNvme } from './nvme.js';
import { addPerplexity } from './perplexity.js';
import { addPlan } from './plan.js';
import { addRun } from './run.js';
import { addSynth } from './synth.js';
import { version } from './version.js';

const COMMANDS = [
  addRun,
  addChat,
  addInspect,
  addBench,
  addSynth,
  addPerplexity,
  addPlan,
  addMeasure,
  addDoctor,
  addNvme,
  addCompletion,
];

/** Runs one command line (without node and the script). Throws NtxError for anything that the user can mend. */
export async function runCli(args: readonly string[]): Promise<void> {
  const program = createProgram();
  if (args.length === 0) {
    program.outputHelp();
    return;
  }
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    if (error.code !== 'commander.help') throw usageError(error, args);
    // A command of commands without one of them, or help of a command that there is not.
    const [asked] = args.slice(args.indexOf('help') + 1);
    const isAsked = args.includes('help') && asked !== 'help';
    if (isAsked) throw new NtxError('bad-argument', `unknown command '${asked}'`, 'see ntx --help', { cause: error });
    (program.commands.find((each) => each.name() === args[0]) ?? program).outputHelp();
  }
}

/** The program with all commands, before it has seen a command line. */
export function createProgram(): Command {
  const program = new Command('ntx')
    .description('Runs GGUF language models.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .addHelpText('after', '\nBegin with `ntx run`: the model that comes with ntx tells a story.');
  for (const add of COMMANDS) add(program);
  return program;
}

/** commander's message ("error: unknown option '--x'\n(Did you mean --y?)") as a sentence and advice. */
function usageError(error: CommanderError, args: readonly string[]): NtxError {
  const [sentence, suggestion] = error.message.replace(/^error: /, '').split('\n');
  const known = createProgram().commands.some((command) => command.name() === args[0]);
  // Other programs take it as an argument.
  const isPrompt = error.code === 'commander.excessArguments' && args[0] === 'run';
  const help = isPrompt ? 'give the prompt with -p "..."' : `see ntx ${known ? `${args[0]} ` : ''}--help`;
  const advice = suggestion?.replace(/^\((.*)\)$/, '$1') || help;
  return new NtxError('bad-argument', sentence, advice, { cause: error });
}
