// Where a prompt comes from: -p, -f, or standard input when something is piped into it.
import { createReadStream, fstatSync } from 'node:fs';
import { NtxError } from '../errors.js';
import { note } from './output.js';

export interface PromptFlags {
  readonly prompt?: string;
  readonly file?: string;
}

/** Far more than any context holds; a file given by mistake is not read into memory. */
const LIMIT_BYTES = 64 << 20;
/** After this long without input, someone should learn what is being waited for. */
const HINT_AFTER_MS = 2000;

/** The prompt, or null when none was given. Throws NtxError for an empty one, an unreadable file or bytes that are no text. */
export async function readPrompt(flags: PromptFlags): Promise<string | null> {
  const { prompt, file } = flags;
  if (prompt !== undefined && file !== undefined) {
    throw new NtxError('bad-argument', 'both --prompt and --file were given', 'give one of them');
  }
  if (prompt !== undefined) return notEmpty(prompt, 'the prompt');
  if (file !== undefined && file !== '-')
    return notEmpty(withoutLastEnd(await readText(file)), `the prompt in ${file}`);
  if (file === undefined && !isPiped()) return null;
  const text = withoutLastEnd(await readStdin());
  // A program that starts ntx without a prompt often leaves it a pipe that carries nothing.
  return text === '' && file === undefined ? null : notEmpty(text, 'the prompt on standard input');
}

function notEmpty(text: string, what: string): string {
  if (text === '') throw new NtxError('bad-prompt', `${what} is empty`, 'give a text to continue');
  return text;
}

/** Every text file ends with a newline, and hardly anyone means it as part of a prompt. */
function withoutLastEnd(text: string): string {
  return text.replace(/\r?\n$/, '');
}

/** A text file's content (UTF-8). Throws NtxError for what cannot be read as text. */
export async function readText(path: string): Promise<string> {
  try {
    return await textOf(createReadStream(path), path);
  } catch (error) {
    if (error instanceof NtxError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new NtxError('io', `${path} cannot be read: ${reason}`, 'give the path of a text file', { cause: error });
  }
}

/** Anything but a terminal or a device such as /dev/null. */
function isPiped(): boolean {
  try {
    const stdin = fstatSync(0);
    return stdin.isFIFO() || stdin.isFile() || stdin.isSocket();
  } catch {
    return false;
  }
}

async function readStdin(): Promise<string> {
  const hint = setTimeout(() => note('ntx: waiting for a prompt on standard input'), HINT_AFTER_MS);
  try {
    return await textOf(process.stdin, 'standard input', () => clearTimeout(hint));
  } finally {
    clearTimeout(hint);
  }
}

async function textOf(stream: AsyncIterable<Buffer>, source: string, onChunk = () => {}): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    onChunk();
    chunks.push(chunk);
    size += chunk.length;
    if (size > LIMIT_BYTES) throw tooLong(source);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    throw new NtxError('bad-prompt', `${source} is not UTF-8 text`, 'convert it to UTF-8 first', { cause: error });
  }
}

function tooLong(source: string): NtxError {
  return new NtxError('bad-prompt', `${source} holds more than ${LIMIT_BYTES >> 20} MiB`, 'give a shorter text');
}
