// The lines that a person types, or that are piped in.
import { createInterface } from 'node:readline';

/** What a read of a line gave: the line, the end of the input, or Ctrl-C at an empty prompt. */
export type Line = { readonly text: string } | 'end' | 'interrupt';

export interface Lines {
  next(prompt: string): Promise<Line>;
  close(): void;
}

export function createLines(): Lines {
  return process.stdin.isTTY ? new TerminalLines() : new PipedLines();
}

/**
 * A terminal with line editing and history. The interface exists only while a line is typed: during an answer the
 * terminal is in its usual mode, so that Ctrl-C is a signal and what is typed waits for the next prompt.
 */
class TerminalLines implements Lines {
  private history: string[] = [];

  next(prompt: string): Promise<Line> {
    const { stdin: input, stderr: output } = process;
    const editor = createInterface({ input, output, prompt, history: this.history, removeHistoryDuplicates: true });
    return new Promise((resolve) => {
      const finish = (line: Line) => {
        editor.removeAllListeners('close');
        editor.close();
        resolve(line);
      };
      editor.on('history', (history: string[]) => {
        this.history = history;
      });
      editor.on('line', (text) => finish({ text }));
      editor.on('close', () => {
        output.write('\n');
        resolve('end');
      });
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
    process.stdin.pause();
  }
}

class PipedLines implements Lines {
  private readonly editor = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  private readonly lines = this.editor[Symbol.asyncIterator]();

  async next(): Promise<Line> {
    const { value, done } = await this.lines.next();
    return done ? 'end' : { text: value };
  }

  close(): void {
    this.editor.close();
  }
}
