// The lines that a person types, or that are piped in.
import { createInterface, type Interface } from 'node:readline';

/** What a read of a line gave: the line, the end of the input, or Ctrl-C at an empty prompt. */
export type Line = { readonly text: string } | 'end' | 'interrupt';

export interface Lines {
  next(prompt: string): Promise<Line>;
  close(): void;
}

export function createLines(
  input: NodeJS.ReadStream = process.stdin,
  output: NodeJS.WritableStream = process.stderr,
): Lines {
  return input.isTTY ? new TerminalLines(input, output) : new PipedLines(input);
}

/**
 * A terminal with line editing and history. The interface exists only while a line is typed: during an answer the
 * terminal is in its usual mode, so that Ctrl-C is a signal and what is typed waits for the next prompt.
 */
class TerminalLines implements Lines {
  private history: string[] = [];

  constructor(
    private readonly input: NodeJS.ReadStream,
    private readonly output: NodeJS.WritableStream,
  ) {}

  next(prompt: string): Promise<Line> {
    const { input, output, history } = this;
    const editor = createInterface({ input, output, terminal: true, prompt, history, removeHistoryDuplicates: true });
    return new Promise((resolve) => {
      let line: Line = 'end'; // Ctrl-D only closes the editor
      const finish = (given: Line) => {
        line = given;
        editor.close();
      };
      editor.on('close', () => {
        if (line === 'end') output.write('\n');
        resolve(line);
      });
      editor.on('history', (history: string[]) => {
        this.history = history;
      });
      editor.on('line', (text) => finish({ text }));
      editor.on('SIGINT', () => {
        output.write('\n');
        if (editor.line === '') finish('interrupt');
        else {
          editor.write(null, { ctrl: true, name: 'e' });
          editor.write(null, { ctrl: true, name: 'u' });
        }
      });
      editor.prompt();
    });
  }

  close(): void {
    this.input.pause();
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
