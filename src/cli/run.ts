import type { Command } from 'commander';
import { NtxError } from '../errors.js';
import type { LanguageModel } from '../language-model.js';
import type { Piece, Summary } from '../options.js';
import { interruptible } from './interrupt.js';
import { loadWithProgress, noteLongContext } from './load.js';
import { addMemoryOptions, addModelOptions, loadOptions, type ModelFlags } from './model-options.js';
import { harmless, note, paint, printJson } from './output.js';
import { type PromptFlags, readPrompt } from './prompt.js';
import { addSamplingOptions, generateOptions, type SamplingFlags } from './sampling-options.js';
import { storyOpening } from './story.js';
import { rates, summaryLine } from './summary.js';

interface RunFlags extends ModelFlags, SamplingFlags, PromptFlags {
  readonly raw?: boolean;
  readonly json?: boolean;
}

export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('write text from a prompt')
    .description(
      'Writes text from a prompt: -p, -f, or what is piped in. Without a prompt the model of ntx tells a story.',
    )
    .argument('[model]', 'GGUF file (default: the model that comes with ntx)')
    .option('-p, --prompt <text>', 'the prompt')
    .option('-f, --file <path>', 'file with the prompt; - is standard input')
    .option('--raw', 'continue the prompt as it is, without the chat template')
    .option('--json', 'one object a token, then a summary');
  addSamplingOptions(addMemoryOptions(addModelOptions(command))).action(run);
}

async function run(path: string | undefined, flags: RunFlags): Promise<void> {
  const options = generateOptions(flags);
  const text = await readPrompt(flags);
  if (text === null && path !== undefined) {
    throw new NtxError('bad-prompt', 'there is no prompt', 'give one with --prompt or --file, or pipe it in');
  }
  await interruptible(async (signal) => {
    const model = await loadWithProgress(path, { ...loadOptions(flags), signal });
    try {
      noteLongContext(model);
      const opening = text === null ? storyOpening(options.seed) : '';
      const prompt = text === null ? opening : promptOf(model, text, flags.raw === true);
      const summary = await write(model.generate(prompt, { ...options, signal }), opening, flags.json === true);
      if (flags.json) printJson({ type: 'summary', ...summary, ...jsonRates(summary), seed: options.seed });
      else note(paint.dim(summaryLine(summary, options.seed)));
      if (signal.aborted) throw new NtxError('cancelled', 'the generation was stopped', 'run the command again');
    } finally {
      await model.dispose();
    }
  });
}

/** What to continue: the text itself, or the text as a user's turn where the model has a chat template. */
function promptOf(model: LanguageModel, text: string, raw: boolean): string | readonly number[] {
  const { tokenizer } = model;
  // A prompt that is taken as it is may hold a template of its own, written out with markers such as <|im_start|>.
  if (raw) return tokenizer.encode(text, { parseSpecial: true });
  return tokenizer.hasChatTemplate ? tokenizer.encodeChat([{ role: 'user', content: text }]) : text;
}

/** Writes the opening with the first token (before it something may still be wrong), and every token as it comes. */
async function write(
  pieces: AsyncGenerator<Piece, Summary, undefined>,
  opening: string,
  json: boolean,
): Promise<Summary> {
  let last = '';
  for (let first = true; ; first = false) {
    const next = await pieces.next();
    if (first && opening !== '') {
      if (json) printJson({ type: 'opening', text: opening });
      else process.stdout.write(opening);
      last = opening;
    }
    if (next.done) {
      if (!json && last !== '' && !last.endsWith('\n')) process.stdout.write('\n');
      return next.value;
    }
    if (json) printJson({ type: 'token', ...next.value });
    else process.stdout.write(harmless(next.value.text));
    last = next.value.text || last;
  }
}

function jsonRates(summary: Summary): { promptRate: number | null; decodeRate: number | null } {
  const { prompt, decode } = rates(summary);
  const orNull = (rate: number) => (Number.isFinite(rate) ? rate : null);
  return { promptRate: orNull(prompt), decodeRate: orNull(decode) };
}
