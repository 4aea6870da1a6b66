import type { Command } from 'commander';
import { NtxError } from '../errors.js';
import type { LanguageModel } from '../language-model.js';
import type { Summary } from '../options.js';
import { type Dialogue, PlainDialogue, TurnDialogue } from './dialogue.js';
import { interruptible } from './interrupt.js';
import { createLines, type Lines } from './lines.js';
import { loadWithProgress, noteLongContext } from './load.js';
import { addMemoryOptions, addModelOptions, loadOptions, type ModelFlags } from './model-options.js';
import { harmless, note, paint } from './output.js';
import { addSamplingOptions, generateOptions, type SamplingFlags } from './sampling-options.js';
import { summaryLine } from './summary.js';

interface ChatFlags extends ModelFlags, SamplingFlags {
  readonly system?: string;
}

/** Tokens that a plain text grows by in one turn: without a template nothing tells a model that its turn is over. */
const PLAIN_MAX_TOKENS = 200;

const HELP = `/reset  forget the conversation and begin anew
/help   this list
/exit   leave (also Ctrl-D)
Ctrl-C  stop the answer; at an empty prompt: leave`;

export function addChat(program: Command): void {
  const command = program
    .command('chat')
    .summary('talk with a model')
    .description('Talks with a model in turns. A model without a chat template continues the text that both write.')
    .argument('[model]', 'GGUF file (default: the model that comes with ntx)')
    .option('--system <text>', 'what the model is told before the first turn');
  addSamplingOptions(addMemoryOptions(addModelOptions(command))).action(chat);
}

async function chat(path: string | undefined, flags: ChatFlags): Promise<void> {
  generateOptions(flags); // a wrong value is told before the load
  const model = await interruptible((signal) => loadWithProgress(path, { ...loadOptions(flags), signal }));
  const lines = createLines();
  try {
    noteLongContext(model);
    await converse(model, lines, flags);
  } finally {
    lines.close();
    await model.dispose();
  }
}

async function converse(model: LanguageModel, lines: Lines, flags: ChatFlags): Promise<void> {
  const { dialogue, plain } = createDialogue(model, flags.system);
  const turnFlags = plain ? { maxTokens: PLAIN_MAX_TOKENS, ...flags } : flags;
  note(
    paint.dim(`${model.config.name}, ${model.context} tokens of context, ${model.device.name} (/help lists commands)`),
  );
  if (plain) note('This model has no chat template: it continues the text that you and it write in turns.');
  for (;;) {
    const line = await lines.next('> ');
    if (line === 'end') return;
    if (line === 'interrupt') throw new NtxError('cancelled', 'the chat was ended', 'run the command again');
    const text = line.text.trim();
    if (text === '/exit') return;
    if (text === '/help') note(HELP);
    else if (text === '/reset') {
      dialogue.reset();
      note('(begun anew)');
    } else if (/^\/\w+$/.test(text)) note(`There is no command ${text}.\n${HELP}`);
    else if (text !== '' || plain) await turn(model, dialogue, line.text, turnFlags);
  }
}

function createDialogue(model: LanguageModel, system: string | undefined): { dialogue: Dialogue; plain: boolean } {
  const { tokenizer } = model;
  if (tokenizer.hasChatTemplate) {
    return { dialogue: new TurnDialogue(system, (messages) => tokenizer.encodeChat(messages)), plain: false };
  }
  if (system !== undefined) {
    throw new NtxError(
      'bad-argument',
      'the model has no chat template, so that --system has no place',
      'leave --system out, or choose an instruct model',
    );
  }
  return { dialogue: new PlainDialogue((text) => tokenizer.encode(text)), plain: true };
}

/** One turn. What the user can mend (a message that is too long) is told, and the chat goes on. */
async function turn(model: LanguageModel, dialogue: Dialogue, text: string, flags: SamplingFlags): Promise<void> {
  const options = generateOptions(flags);
  // An answer of some length must fit as well.
  const limit = model.context - Math.min(256, Math.ceil(model.context / 4));
  try {
    const { tokens, dropped } = dialogue.say(text, limit);
    if (dropped > 0)
      note(paint.yellow(`(the context is full: the oldest ${dropped} ${unitOf(dialogue)} were dropped)`));
    const answer = await interruptible((signal) => stream(model, tokens, { ...options, signal }));
    dialogue.hear(answer.text);
    note(paint.dim(summaryLine(answer.summary, options.seed)));
  } catch (error) {
    if (!(error instanceof NtxError) || error.code !== 'bad-prompt') throw error;
    note(`${error.message}\n${error.advice}`);
  }
}

function unitOf(dialogue: Dialogue): string {
  return dialogue instanceof TurnDialogue ? 'messages' : 'tokens';
}

async function stream(
  model: LanguageModel,
  tokens: readonly number[],
  options: ReturnType<typeof generateOptions> & { readonly signal: AbortSignal },
): Promise<{ text: string; summary: Summary }> {
  const pieces = model.generate(tokens, options);
  let text = '';
  for (;;) {
    const next = await pieces.next();
    if (next.done) {
      process.stdout.write(text.endsWith('\n') ? '' : '\n');
      return { text, summary: next.value };
    }
    text += next.value.text;
    process.stdout.write(harmless(next.value.text));
  }
}
