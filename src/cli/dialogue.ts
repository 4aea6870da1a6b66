// What a chat remembers, and how it is cut to fit the context.
import { NtxError } from '../errors.js';
import type { ChatMessage } from '../tokenizer/index.js';

/** What the model is to run next. */
export interface Said {
  readonly tokens: readonly number[];
  /** What was left out because the context is full: messages, or tokens of a plain text. */
  readonly dropped: number;
}

export interface Dialogue {
  /**
   * Adds what the user wrote. Drops the oldest part when the whole is longer than `limit` tokens; throws
   * NtxError('bad-prompt'), and forgets what was said, when even the newest part alone is.
   */
  say(text: string, limit: number): Said;
  /** Adds what the model wrote. */
  hear(text: string): void;
  /** Begins anew. */
  reset(): void;
}

/** Turns of a model with a chat template. The system message stays when old turns go. */
export class TurnDialogue implements Dialogue {
  private turns: ChatMessage[] = [];

  constructor(
    private readonly system: string | undefined,
    private readonly encode: (messages: readonly ChatMessage[]) => readonly number[],
  ) {}

  say(text: string, limit: number): Said {
    let turns: ChatMessage[] = [...this.turns, { role: 'user', content: text }];
    let tokens = this.encoded(turns);
    while (tokens.length > limit) {
      // Templates expect the user to begin, so that a turn goes with its answer.
      const next = turns.findIndex((turn, index) => index > 0 && turn.role === 'user');
      if (next < 0) throw tooLong(tokens.length, limit);
      turns = turns.slice(next);
      tokens = this.encoded(turns);
    }
    const dropped = this.turns.length + 1 - turns.length;
    this.turns = turns;
    return { tokens, dropped };
  }

  hear(text: string): void {
    this.turns.push({ role: 'assistant', content: text });
  }

  reset(): void {
    this.turns = [];
  }

  private encoded(turns: readonly ChatMessage[]): readonly number[] {
    const system: ChatMessage[] = this.system === undefined ? [] : [{ role: 'system', content: this.system }];
    return this.encode([...system, ...turns]);
  }
}

/** One growing text that user and model write in turns, for a model without a chat template. */
export class PlainDialogue implements Dialogue {
  private text = '';

  /** `encode` adds the model's BOS where it has one. */
  constructor(private readonly encode: (text: string) => readonly number[]) {}

  say(text: string, limit: number): Said {
    const joined = this.text + (needsSpace(this.text, text) ? ' ' : '') + text;
    const all = this.encode(joined);
    if (all.length === 0) throw new NtxError('bad-prompt', 'there is no text yet', 'write its beginning');
    if (all.length <= limit) {
      this.text = joined;
      return { tokens: all, dropped: 0 };
    }
    const alone = this.encode(text);
    if (alone.length > limit) throw tooLong(alone.length, limit);
    this.text = newestPart(joined, this.encode, Math.max(alone.length, Math.floor(limit / 2)));
    const tokens = this.encode(this.text);
    return { tokens, dropped: all.length - tokens.length };
  }

  hear(text: string): void {
    this.text += text;
  }

  reset(): void {
    this.text = '';
  }
}

function needsSpace(before: string, after: string): boolean {
  return /\S$/.test(before) && /^[\p{L}\p{N}"'(]/u.test(after);
}

/** The longest end of a text, from the beginning of a word, that has at most `limit` tokens. */
function newestPart(text: string, encode: (text: string) => readonly number[], limit: number): string {
  const starts = Array.from(text.matchAll(/\S+\s*/g), (word) => word.index);
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (encode(text.slice(starts[middle])).length <= limit) high = middle;
    else low = middle + 1;
  }
  return text.slice(starts[low] ?? 0);
}

function tooLong(tokens: number, limit: number): NtxError {
  return new NtxError(
    'bad-prompt',
    `that is ${tokens} tokens; the context has room for ${limit}`,
    'write less at once, or start ntx chat with a larger --context',
  );
}
