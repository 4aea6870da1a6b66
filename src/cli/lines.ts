// The lines that a person types, or that are piped in.
import { createInterface, type Interface, type Key } from 'node:readline';

/** What a read of a line gave: the line, the end of the input, or Ctrl-C at an empty prompt. */
export type Line = { readonly text: string } | 'end' | 'interrupt';

export interface Lines {
  next(prompt: string): Promise<Line>;
  close(): void;
}

/** What is typed is shown on stderr, or on stdout where stderr is no terminal (`ntx chat 2> log`). */
const TERMINAL = process.stdout.isTTY && !process.stderr.isTTY ? process.stdout : process.stderr;

export function createLines(input: NodeJS.ReadStream = process.stdin, output: NodeJS.WritableStream = TERMINAL): Lines {
  return input.isTTY ? new TerminalLines(input, output) : new PipedLines(input);
}

/** Bracketed paste: a terminal in this mode puts the other two around what is pasted. */
const PASTE = { on: '\x1b[?2004h', off: '\x1b[?2004l', begin: '\x1b[200~', end: '\x1b[201~' };

/**
 * A terminal with line editing and history. The interface exists only while a line is typed: during an answer the
 * terminal is in its usual mode, so that Ctrl-C is a signal and what is typed waits for the next prompt. Lines that are pasted
 * together are one text, which ends where Enter is typed behind them.
 */
class TerminalLines implements Lines {
  private history: string[] = [];
  /** What came in the same read behind a line: whole lines, and the beginning of one. */
  private ahead: string[] = [];
  private begun = '';

  constructor(
    private readonly input: NodeJS.ReadStream,
    private readonly output: NodeJS.WritableStream,
  ) {}

  async next(prompt: string): Promise<Line> {
    const text = this.ahead.shift();
    if (text === undefined) return this.edit(prompt);
    this.output.write(`${prompt}${text}\n`);
    return { text };
  }

  close(): void {
    this.input.pause();
  }

  private edit(prompt: string): Promise<Line> {
    const { input, output, history } = this;
    const editor = createInterface({ input, output, terminal: true, prompt, history, removeHistoryDuplicates: true });
    const knowsPaste = process.env.TERM !== 'dumb';
    let line: Line | null = null;
    let isPasting = false;
    let pasted: string[] = [];
    const onKey = (_: unknown, { sequence }: Key) => {
      if (sequence === PASTE.begin || sequence === PASTE.end) isPasting = sequence === PASTE.begin;
    };
    const onLine = (text: string) => {
      if (line !== null) this.ahead.push(text);
      else if (isPasting) pasted.push(text);
      else {
        line = { text: [...pasted, text].join('\n') };
        // A closed editor drops the rest of what it was reading.
        queueMicrotask(() => {
          this.begun = editor.line;
          if (this.begun !== '') output.write('\n');
          editor.close();
        });
      }
    };
    const onInterrupt = () => {
      if (line !== null) return;
      output.write('\n');
      if (editor.line === '' && pasted.length === 0) {
        line = 'interrupt';
        editor.close();
        return;
      }
      pasted = [];
      editor.write(null, { ctrl: true, name: 'e' });
      editor.write(null, { ctrl: true, name: 'u' });
    };
    return new Promise((resolve) => {
      editor.on('line', onLine).on('SIGINT', onInterrupt);
      editor.on('history', (history: string[]) => {
        this.history = history;
      });
      editor.on('close', () => {
        input.off('keypress', onKey);
        // Ctrl-D only closes the editor.
        output.write(`${knowsPaste ? PASTE.off : ''}${line === null ? '\n' : ''}`);
        resolve(line ?? 'end');
      });
      input.on('keypress', onKey);
      if (knowsPaste) output.write(PASTE.on);
      editor.prompt();
      if (this.begun !== '') editor.write(this.begun);
      this.begun = '';
    });
  }
}

class PipedLines implements Lines {
  private readonly reader: Interface;
  private readonly lines: AsyncIterator<string>;

  constructor(input: NodeJS.ReadStream) {
    this.reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    this.lines = this.reader[Symbol.asyncIterator]();
  }

  async next(): Promise<Line> {
    const { value, done } = await this.lines.next();
    return done ? 'end' : { text: value };
  }

  close(): void {
    this.reader.close();
  }
}
