// Follows the recipes of docs/adding-*.md in a copy of the tree: blocks of code whose fence names a file.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Step {
  readonly file: string;
  /** `diff`: a piece of the file as it is and as it becomes; else a new file. */
  readonly isDiff: boolean;
  readonly text: string;
}

/** What a recipe tells to do, in its order. */
export function stepsOf(markdown: string): Step[] {
  const blocks = markdown.matchAll(/^```(\w+) ((?:src|test)\/\S+)\n([\s\S]*?)^```$/gm);
  return Array.from(blocks, ([, language, file, text]) => ({ file, isDiff: language === 'diff', text }));
}

/** The text with a diff applied. Throws where what it stands on is not there, or is there more than once. */
export function patched(text: string, diff: string): string {
  const lines = diff.replace(/\n$/, '').split('\n');
  const side = (sign: string) =>
    lines
      .filter((line) => line === '' || line[0] === ' ' || line[0] === sign)
      .map((line) => `${line.slice(1)}\n`)
      .join('');
  const [before, after] = [side('-'), side('+')];
  const parts = text.split(before);
  if (parts.length !== 2) throw new Error(`found ${parts.length - 1} times, expected once:\n${before}`);
  return parts.join(after);
}

/** A copy of what recipes change and what their tests need, below the repository so that packages are found. */
export function copyTree(root: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  const without = (path: string) => !/\/vectors(\/|$)|\.gguf$/.test(path);
  for (const name of ['src', 'test/kernels', 'test/streaming', 'kernels', 'package.json']) {
    cpSync(join(root, name), join(to, name), { recursive: true, filter: without });
  }
  const config = { extends: join(root, 'tsconfig.json'), include: ['src', 'test/unit'] };
  writeFileSync(join(to, 'tsconfig.json'), JSON.stringify(config));
}

export function follow(steps: readonly Step[], folder: string): void {
  for (const { file, isDiff, text } of steps) {
    const path = join(folder, file);
    mkdirSync(dirname(path), { recursive: true });
    try {
      writeFileSync(path, isDiff ? patched(readFileSync(path, 'utf8'), text) : text);
    } catch (error) {
      throw new Error(`${file}: ${(error as Error).message}`);
    }
  }
}
