#!/usr/bin/env node
// The program `ntx`. Only this file sets the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C, 1 for our bugs.
import { columnsOf, harmless, wrapped } from './cli/output.js';
import { runCli } from './cli/program.js';
import { NtxError } from './errors.js';

const STATUS = { userError: 2, interrupted: 130, bug: 1 };

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has gone (`ntx run | head`): nothing is wrong, and nobody is left to write for.
  if (error.code === 'EPIPE') process.exit(0);
  const advice = 'check the place that the output goes to';
  process.exit(report(new NtxError('io', `writing the output failed: ${error.message}`, advice, { cause: error })));
});
// What nobody can read there (a closed pipe, a full disk) does not spoil the result.
process.stderr.on('error', () => {});

try {
  await runCli(process.argv.slice(2));
} catch (error) {
  process.exitCode = report(error);
}

/** Tells the user and returns the exit status. */
function report(error: unknown): number {
  if (!(error instanceof NtxError)) {
    const stack = error instanceof Error ? error.stack : String(error);
    process.stderr.write(
      `${stack}\nntx: this is a bug in ntx; please report it with the lines above and the command\n`,
    );
    return STATUS.bug;
  }
  if (process.env.NTX_DEBUG) process.stderr.write(`${error.stack}\n`);
  if (error.code === 'cancelled') return STATUS.interrupted;
  const sentences = [`ntx: ${withPeriod(error.message)}`, capital(withPeriod(error.advice))];
  for (const each of sentences)
    process.stderr.write(`${wrapped(harmless(each, process.stderr), columnsOf(process.stderr))}\n`);
  return STATUS.userError;
}

function withPeriod(sentence: string): string {
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}

function capital(sentence: string): string {
  return sentence.startsWith('ntx ') ? sentence : sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
