import { Environment, parse, tokenize } from '@huggingface/jinja';
import { NtxError } from '../errors.js';
import { getString } from '../gguf/metadata.js';
import type { GgufModel } from '../gguf/types.js';
import { LimitedInterpreter } from './template-interpreter.js';

export interface ChatMessage {
  /** 'system', 'user' or 'assistant', or what else the template knows. */
  readonly role: string;
  readonly content: string;
}

export interface ChatOptions {
  /** End with what begins the assistant's answer. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** For templates of models that can think before they answer; left to the template when absent. */
  readonly enableThinking?: boolean;
  /** One of the file's named templates instead of its default one. */
  readonly template?: string;
  /** What `strftime_now` tells; the present by default. */
  readonly now?: Date;
}

/** A rendered conversation. */
export interface ChatText {
  readonly text: string;
  /** Offsets in `text` (UTF-16 units) of characters that a message brought and that begin or end markers. */
  readonly quoted: ReadonlySet<number>;
}

/** What a template needs from the vocabulary. */
export interface TemplateTokens {
  readonly bos: string;
  readonly eos: string;
  readonly markerEdges: ReadonlySet<string>;
}

const KEY = 'tokenizer.chat_template';

/** The name of the template without one. */
export const DEFAULT_TEMPLATE = 'default';

/** `range` makes an array: a template must not fill the memory with it. */
const LONGEST_RANGE = 100_000;

/** The file's templates by name. */
export function readChatTemplates(gguf: GgufModel): ReadonlyMap<string, string> {
  const sources = new Map<string, string>();
  for (const key of gguf.metadata.keys()) {
    if (key.startsWith(`${KEY}.`)) sources.set(key.slice(KEY.length + 1), getString(gguf, key));
  }
  if (gguf.metadata.has(KEY)) sources.set(DEFAULT_TEMPLATE, getString(gguf, KEY));
  return sources;
}

/**
 * A Jinja chat template. Template and markers are the model's; messages are somebody else's, and a message that spells
 * out <|im_end|> must not end a turn. Encoding the messages apart would be safe but wrong: in "[INST] " + "Hi" the space
 * and the word are one token. So the text is rendered whole, and each character of a message that could begin or end a
 * marker goes through the template as a private-use character that occurs nowhere else. It survives whatever a template
 * does with a text (trim, split, replace, join), and tells afterwards which characters are quoted: the encoder takes
 * nothing for a marker that begins or ends with one of those, whichever pieces it was put together from.
 *
 * What templates look for in messages stays visible: white space, words, and in the assistant's own messages <think> and
 * </think>, which templates cut out. Two limits: markers that are plain text to the vocabulary (the [INST] of Llama 2) can
 * be imitated, as no tokenizer could tell, and a template that itself writes '<' + content + '>' asks for it.
 */
export class ChatTemplate {
  private readonly program: ReturnType<typeof parse>;

  /** @throws NtxError `bad-file` for a template that cannot be parsed */
  constructor(private readonly source: string) {
    try {
      this.program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (cause) {
      throw templateError('bad-file', 'cannot be parsed', cause);
    }
  }

  /** @throws NtxError `bad-prompt` when the template refuses the messages, `unsupported` when it fails */
  render(messages: readonly ChatMessage[], tokens: TemplateTokens, options: ChatOptions = {}): ChatText {
    checkMessages(messages);
    const stand = new StandIns(tokens.markerEdges, [this.source, ...messages.flatMap((m) => [m.role, m.content])]);
    const variables: Record<string, unknown> = {
      ...globals(options.now ?? new Date()),
      messages: messages.map(({ role, content }) => ({
        role: stand.hide(role, false),
        content: stand.hide(content, role === 'assistant'),
      })),
      add_generation_prompt: options.addGenerationPrompt ?? true,
      bos_token: tokens.bos,
      eos_token: tokens.eos,
    };
    if (options.enableThinking !== undefined) variables.enable_thinking = options.enableThinking;
    // Not jinja's Template: it cannot replace its own strftime_now (months in the system's language) and range.
    const environment = new Environment();
    for (const [name, value] of Object.entries(variables)) environment.set(name, value);
    try {
      return stand.reveal(String(new LimitedInterpreter(environment).run(this.program).value));
    } catch (cause) {
      if (cause instanceof Refusal) throw templateError('bad-prompt', 'refuses the conversation', cause);
      throw templateError('unsupported', 'failed', cause);
    }
  }
}

/** One rendering's private-use characters for the characters that begin or end markers. */
class StandIns {
  private readonly hidden = new Map<string, string>();
  private readonly shown = new Map<string, string>();
  private readonly pattern: RegExp;
  private readonly patternOrThink: RegExp;

  /** @param texts everything that goes into the rendering: none of the stand-ins occurs there */
  constructor(edges: ReadonlySet<string>, texts: readonly string[]) {
    const used = new Set(texts.flatMap((text) => text.match(/[\ue000-\uf8ff]/g) ?? []));
    let next = 0xe000;
    for (const edge of edges) {
      while (used.has(String.fromCharCode(next))) next++;
      if (next > 0xf8ff) {
        throw new NtxError(
          'unsupported',
          'The messages and the special tokens leave no private-use character (U+E000 to U+F8FF) free.',
          'Take such characters out of the messages.',
        );
      }
      const standIn = String.fromCharCode(next++);
      this.hidden.set(edge, standIn);
      this.shown.set(standIn, edge);
    }
    const points = [...edges].map((edge) => `\\u{${edge.codePointAt(0)!.toString(16)}}`);
    const edgeClass = points.length > 0 ? `[${points.join('')}]` : '(?!)';
    this.pattern = new RegExp(edgeClass, 'gu');
    this.patternOrThink = new RegExp(`</?think>|${edgeClass}`, 'gu');
  }

  hide(text: string, keepThink: boolean): string {
    return text.replace(keepThink ? this.patternOrThink : this.pattern, (found) => this.hidden.get(found) ?? found);
  }

  reveal(rendered: string): ChatText {
    const quoted = new Set<number>();
    let text = '';
    let at = 0;
    for (const { 0: character, index } of rendered.matchAll(/[\ue000-\uf8ff]/g)) {
      const edge = this.shown.get(character);
      if (edge === undefined) continue;
      text += rendered.slice(at, index);
      for (let unit = 0; unit < edge.length; unit++) quoted.add(text.length + unit);
      text += edge;
      at = index + 1;
    }
    return { text: text + rendered.slice(at), quoted };
  }
}

class Refusal extends Error {}

function globals(now: Date): Record<string, unknown> {
  return {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    raise_exception: (message: unknown) => {
      throw new Refusal(String(message));
    },
    range,
    strftime_now: (format: unknown) => strftime(now, String(format)),
  };
}

/** Python's range. */
function range(first: number, end?: number, step = 1): number[] {
  const [start, stop] = end === undefined ? [0, first] : [first, end];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= LONGEST_RANGE)) throw new Error(`range(${start}, ${stop}, ${step}) is longer than ${LONGEST_RANGE}`);
  return Array.from({ length }, (_, index) => start + index * step);
}

/** Python's strftime in English and local time, with the fields that templates use; `-` leaves leading zeros away. */
function strftime(date: Date, format: string): string {
  const name = (part: Intl.DateTimeFormatOptions) => date.toLocaleDateString('en-US', part);
  const fields: Record<string, () => string | number> = {
    Y: () => date.getFullYear(),
    y: () => date.getFullYear() % 100,
    m: () => date.getMonth() + 1,
    d: () => date.getDate(),
    H: () => date.getHours(),
    I: () => date.getHours() % 12 || 12,
    M: () => date.getMinutes(),
    S: () => date.getSeconds(),
    p: () => (date.getHours() < 12 ? 'AM' : 'PM'),
    b: () => name({ month: 'short' }),
    B: () => name({ month: 'long' }),
    a: () => name({ weekday: 'short' }),
    A: () => name({ weekday: 'long' }),
    '%': () => '%',
  };
  return format.replace(/%(-?)([YymdHIMSpbBaA%])/g, (_, dash: string, field: string) => {
    const value = fields[field]();
    return typeof value === 'number' && !dash ? String(value).padStart(2, '0') : String(value);
  });
}

function checkMessages(messages: readonly ChatMessage[]): void {
  const valid = (message: ChatMessage) => typeof message?.role === 'string' && typeof message.content === 'string';
  const wrong = messages.findIndex((message) => !valid(message));
  if (messages.length > 0 && wrong < 0) return;
  throw new NtxError(
    'bad-prompt',
    messages.length === 0 ? 'The conversation has no message.' : `Message ${wrong} lacks a role or a content.`,
    "Give messages like { role: 'user', content: 'Hello' }.",
  );
}

function templateError(code: 'bad-file' | 'bad-prompt' | 'unsupported', what: string, cause: unknown): NtxError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const advice =
    code === 'bad-prompt'
      ? 'Change the messages: their roles, order or content.'
      : 'Continue plain text with this model, or use a file with another chat template.';
  return new NtxError(code, `The model's chat template ${what}: ${message.slice(0, 300)}`, advice, { cause });
}
