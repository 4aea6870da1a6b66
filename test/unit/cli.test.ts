import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { bytesText, rateText, table, writeText } from '../../src/cli/output.js';
import { runCli } from '../../src/cli/program.js';
import { readPrompt, readText } from '../../src/cli/prompt.js';
import { generateOptions } from '../../src/cli/sampling-options.js';
import { storyOpening } from '../../src/cli/story.js';
import { rates, summaryLine } from '../../src/cli/summary.js';
import { choiceValue, collect, numberValue, wholeValue } from '../../src/cli/values.js';
import { NtxError } from '../../src/errors.js';
import type { Summary } from '../../src/options.js';

const folder = mkdtempSync(join(tmpdir(), 'ntx-cli-unit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());

async function failure(work: Promise<unknown>): Promise<NtxError> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(NtxError);
  return error as NtxError;
}

describe('values of options', () => {
  test('whole numbers in their range', () => {
    const parse = wholeValue('--n', 1, 100);
    expect(['1', '100', ' 7 ', '1e1'].map(parse)).toEqual([1, 100, 7, 10]);
    for (const text of ['', ' ', '0', '101', '1.5', '-1', 'x', '1x', 'NaN', 'Infinity', '1,5']) {
      expect(() => parse(text), text).toThrow(/^--n: expected a whole number from 1 to 100, got "/);
    }
  });

  test('numbers', () => {
    const parse = numberValue('--t');
    expect(['0', '-1.5', '1e-3'].map(parse)).toEqual([0, -1.5, 0.001]);
    for (const text of ['', 'x', 'NaN', 'Infinity', '1..2']) expect(() => parse(text), text).toThrow(NtxError);
  });

  test('choices, and options that come several times', () => {
    expect(choiceValue('--b', ['cpu', 'auto'])('cpu')).toBe('cpu');
    expect(() => choiceValue('--b', ['cpu', 'auto'])('CPU')).toThrow('--b: expected one of cpu, auto, got "CPU"');
    expect(collect('b', collect('a'))).toEqual(['a', 'b']);
  });

  test('sampling options keep what was given, fill in the rest and fix a seed', () => {
    const given = generateOptions({ temperature: 0, maxTokens: 5, stop: ['x'], ignoreEos: true });
    expect(given).toMatchObject({
      temperature: 0,
      topP: 0.95,
      repeatPenalty: 1.1,
      maxTokens: 5,
      stop: ['x'],
      ignoreEnd: true,
    });
    expect(given.seed).toBeGreaterThanOrEqual(0);
    expect(generateOptions({ seed: 7 }).seed).toBe(7);
    expect(() => generateOptions({ minP: 3 })).toThrow('minP: expected');
  });
});

describe('wrong command lines', () => {
  test.each([
    [['rnu'], /unknown command 'rnu'/, /Did you mean run\?/],
    [['run', '--seeed', '1'], /unknown option '--seeed'/, /Did you mean --seed\?/],
    [['run', '--zzzzzz'], /unknown option '--zzzzzz'/, /ntx run --help/],
    [['synth', 'a'], /missing required argument 'file'/, /ntx synth --help/],
    [['--zzzzzz'], /unknown option/, /ntx --help/],
    [['run', '-n', 'x'], /--max-tokens: expected a whole number/, /./],
  ])('%j', async (args, message, advice) => {
    const error = await failure(runCli(args));
    expect(error.code).toBe('bad-argument');
    expect(error.message).toMatch(message);
    expect(error.advice).toMatch(advice);
  });

  test('help is no mistake', async () => {
    const written: string[] = [];
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0);
    await runCli(['run', '--help']);
    await runCli([]);
    expect(written.join('')).toMatch(/Usage: ntx run .*Usage: ntx \[options\]/s);
  });
});

describe('prompts', () => {
  const file = (name: string, content: string | Uint8Array) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };

  test('-p is taken as it is, a file without its last line end', async () => {
    expect(await readPrompt({ prompt: ' a\n' })).toBe(' a\n');
    expect(await readPrompt({ file: file('unix', 'a\nb\n') })).toBe('a\nb');
    expect(await readPrompt({ file: file('windows', 'a\r\nb\r\n') })).toBe('a\r\nb');
    expect(await readPrompt({ file: file('two', 'a\n\n') })).toBe('a\n');
    expect(await readPrompt({ file: file('bom', '\uFEFFa') })).toBe('a');
  });

  test.each([
    ['empty', { prompt: '' }, /the prompt is empty/],
    ['both', { prompt: 'a', file: 'b' }, /both --prompt and --file/],
    ['missing', { file: join(folder, 'missing') }, /cannot be read/],
    ['a folder', { file: folder }, /cannot be read/],
    ['an empty file', { file: file('empty', '') }, /is empty/],
    ['a file with one line end', { file: file('newline', '\n') }, /is empty/],
    ['a device without an end', { file: '/dev/zero' }, /more than 64 MiB/],
    ['Latin-1', { file: file('latin1', Buffer.from([0x67, 0xfc, 0x6e])) }, /is not UTF-8 text/],
  ])('%s', async (_, flags, message) => {
    expect((await failure(readPrompt(flags))).message).toMatch(message);
  });

  test('a text is read as it is', async () => {
    expect(await readText(file('text', 'ä\n'))).toBe('ä\n');
  });

  test('stories begin with whole sentences that a seed names', () => {
    const openings = new Set(Array.from({ length: 1000 }, (_, seed) => storyOpening(seed)));
    expect(openings.size).toBeGreaterThan(8);
    for (const opening of openings) expect(opening).toMatch(/^[A-Z].*\w$/);
    expect(storyOpening(2 ** 32 - 1)).toBe(storyOpening(2 ** 32 - 1));
  });
});

describe('what is printed', () => {
  const summary: Summary = {
    finishReason: 'length',
    ...{ promptTokens: 12, reusedTokens: 2, generatedTokens: 21, promptSeconds: 0.5, decodeSeconds: 2 },
  };

  test('rates count what was run: not what was known, nor the first token', () => {
    expect(rates(summary)).toEqual({ prompt: 20, decode: 10 });
    // The token that ended the text was run too.
    expect(rates({ ...summary, finishReason: 'end' })).toEqual({ prompt: 20, decode: 10.5 });
    expect(rates({ ...summary, generatedTokens: 1 }).decode).toBeNaN();
    expect(rates({ ...summary, generatedTokens: 0, decodeSeconds: 0 }).decode).toBeNaN();
    expect(rates({ ...summary, generatedTokens: 0, finishReason: 'cancelled' }).prompt).toBeNaN();
  });

  test('the summary is one line', () => {
    const line = '12 prompt tokens (2 known), 20 tok/s | 21 tokens, 10 tok/s | --max-tokens reached | seed 9';
    expect(summaryLine(summary, 9)).toBe(line);
    expect(summaryLine({ ...summary, generatedTokens: 1, finishReason: 'end' }, 9)).toContain('| 1 tokens, 0.5');
  });

  test('a file that cannot be written is an error of the user', async () => {
    const path = join(folder, 'nowhere', 'x.svg');
    const error = await failure(writeText(path, 'x'));
    expect(error).toMatchObject({ code: 'io', message: expect.stringContaining(`${path} cannot be written: ENOENT`) });
  });

  test('figures', () => {
    expect([rateText(12.345), rateText(1234.5), rateText(0.12345), rateText(Number.NaN)]).toEqual([
      '12.3',
      '1230',
      '0.123',
      '-',
    ]);
    expect([bytesText(0), bytesText(1536), bytesText(18855360)]).toEqual(['0 B', '1.5 KiB', '17.9 MiB']);
  });

  test('tables are aligned, without blanks at line ends', () => {
    expect(
      table(
        [
          ['a', '1', ''],
          ['long', '22', 'x'],
        ],
        [1],
      ),
    ).toBe('a      1\nlong  22  x\n');
  });
});
