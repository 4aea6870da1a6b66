// What differs between a terminal and a pipe, and what programs read.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { HELDOUT, STORIES } from './files.js';
import { ntx, shell } from './program.js';

const folder = mkdtempSync(join(tmpdir(), 'ntx-terminal-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Every sequence that a terminal takes as something else than text. */
const ESCAPE = '\x1b';
const RUN = `run ${STORIES} -p Once -n 4`;
const LONG = `run ${folder}/${'no-such-folder/'.repeat(4)}model.gguf -p x`;

/** What a terminal of 80 columns gets: `script` (util-linux) makes one. */
async function onTerminal(args: string, variables = ''): Promise<string> {
  const line = `stty cols 80; ${variables} "${process.execPath}" dist/main.js ${args}`;
  const { stdout } = await shell(`script -qec '${line}' /dev/null`);
  return stdout.replaceAll('\r\n', '\n');
}

/** What a terminal gets of a chat in which a line is typed at every prompt. */
function chatOnTerminal(args: string, lines: readonly string[]): Promise<string> {
  const child = spawn('script', ['-qec', `"${process.execPath}" dist/main.js chat ${args}`, '/dev/null']);
  let shown = '';
  let typed = 0;
  child.stdout.setEncoding('utf8').on('data', (text) => {
    shown += text;
    const prompts = shown.split('> ').length - 1;
    if (prompts > typed && typed < lines.length) child.stdin.write(`${lines[typed++]}\r`);
  });
  return new Promise((resolve) => child.on('close', () => resolve(shown)));
}

describe('a terminal', () => {
  test('gets colours, and none with NO_COLOR', async () => {
    const coloured = await onTerminal(RUN);
    expect(coloured).toContain(`${ESCAPE}[2m`);
    const plain = await onTerminal(RUN, 'NO_COLOR=1');
    expect(plain).toMatch(/4 tokens, [\d.]+ tok\/s/);
    expect(plain).not.toContain(ESCAPE);
    expect(await onTerminal(`inspect ${STORIES}`, 'NO_COLOR=1')).not.toContain(ESCAPE);
    expect(await onTerminal(`inspect ${STORIES}`)).toContain(`${ESCAPE}[1mFiles`);
  });

  test.each([
    '',
    '2> /dev/null',
  ])('shows what is typed in a chat, with its notes or without (%j)', async (redirection) => {
    const stdout = await chatOnTerminal(`${STORIES} -n 4 ${redirection}`, ['Once', '/exit']);
    const shown = stripVTControlCharacters(stdout);
    expect(shown).toContain('> Once');
    expect(shown).toContain('> /exit');
  });

  test('gets errors broken between words', async () => {
    const lines = stripVTControlCharacters(await onTerminal(LONG))
      .trimEnd()
      .split('\n');
    expect(lines.length).toBeGreaterThan(2);
    // Paths are never broken: whoever copies them wants them whole.
    for (const line of lines) if (line.includes(' ')) expect(line.length).toBeLessThanOrEqual(80);
  });
});

describe('a pipe', () => {
  test('gets no escape sequences, and errors on a line each', async () => {
    const { stdout, stderr } = await ntx(RUN.split(' '));
    expect(`${stdout}${stderr}`).not.toContain(ESCAPE);
    const refused = await ntx(LONG.split(' '));
    expect(refused.stderr.trimEnd().split('\n')).toHaveLength(2);
    expect(refused.stderr).not.toContain(ESCAPE);
  });

  test.each([
    ['inspect', STORIES],
    ['bench', STORIES, '--prompt-tokens', '8', '--tokens', '4', '--repeat', '1', '--backend', 'cpu'],
    ['perplexity', STORIES, HELDOUT, '--window', '64', '--windows', '1'],
    ['plan', STORIES, '--machine', 'h100-80gb'],
    ['doctor'],
    ['nvme', 'list'],
    ['nvme', 'status'],
  ])('ntx %s --json writes one JSON value to stdout and nothing else', async (...args) => {
    const { status, stdout } = await ntx([...args, '--json']);
    expect(status).toBe(0);
    expect(typeof JSON.parse(stdout)).toBe('object');
  });

  test('with --json errors are sentences on stderr, and stdout stays empty', async () => {
    for (const args of [
      ['inspect', 'nothing.gguf'],
      ['run', '-n', '0'],
      ['plan', 'nothing.gguf'],
      ['bench', 'no.gguf'],
    ]) {
      const { status, stdout, stderr } = await ntx([...args, '--json']);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toMatch(/^ntx: /);
    }
  });
});
