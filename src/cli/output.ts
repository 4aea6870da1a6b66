// How the command line writes: results to stdout, everything else to stderr, so that it pipes.
import { writeFile } from 'node:fs/promises';
import { Help } from 'commander';
import colors from 'picocolors';
import prettyBytes from 'pretty-bytes';
import { NtxError } from '../errors.js';

/** Colours for stderr; plain where it is no terminal, or NO_COLOR is set. */
export const paint = colors.createColors(colors.isColorSupported && process.stderr.isTTY === true);

/**
 * Text of a model or a file without characters that a terminal takes as commands; lines and tabs stay. Pipes and files get it as
 * it is.
 */
export function harmless(text: string, stream: Pick<NodeJS.WriteStream, 'isTTY'> = process.stdout): string {
  return stream.isTTY ? text.replace(/(?![\n\t])\p{Cc}/gu, '') : text;
}

/** A line for the person at the terminal. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Writes a file that an option names. Throws NtxError('io'). */
export async function writeText(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    const message = `${path} cannot be written: ${(error as Error).message}`;
    throw new NtxError('io', message, 'give the path of another file', { cause: error });
  }
}

/** Where lines for a stream are broken: nowhere in files and pipes, which are searched line by line. */
export function columnsOf(stream: NodeJS.WriteStream): number | null {
  return stream.isTTY ? stream.columns || 80 : null;
}

/** Text broken between words into lines of at most `columns` less `indent`, which all but the first begin with; null: as it is. */
export function wrapped(text: string, columns: number | null, indent = 0): string {
  if (columns === null) return text;
  return new Help().boxWrap(text, columns - indent).replaceAll('\n', `\n${' '.repeat(indent)}`);
}

/** A value as JSON on one line (or indented); 64-bit metadata that a number cannot hold is written as a string. */
export function printJson(value: unknown, indent?: number): void {
  print(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? item.toString() : item), indent));
}

/** "1.2 GiB" */
export function bytesText(bytes: number): string {
  return prettyBytes(bytes, { binary: true, maximumFractionDigits: 1 });
}

/** "12.6", "143": three significant digits are what a measured rate is good for. */
export function rateText(perSecond: number): string {
  return Number.isFinite(perSecond) ? Number(perSecond.toPrecision(3)).toString() : '-';
}

/** Lines with columns padded to their widest cell; columns named in `right` (by index) are right-aligned. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}
