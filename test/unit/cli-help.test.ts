import type { Command } from 'commander';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Finding, findingsText } from '../../src/cli/finding.js';
import { harmless, wrapped } from '../../src/cli/output.js';
import { createProgram, runCli } from '../../src/cli/program.js';

afterEach(() => vi.restoreAllMocks());

/** The words of every command, `ntx nvme map` as ['nvme', 'map']; [] for ntx itself. */
function commandsOf(command: Command, path: string[] = []): string[][] {
  return [path, ...command.commands.flatMap((each) => commandsOf(each, [...path, each.name()]))];
}

async function printed(args: readonly string[]): Promise<string> {
  let text = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  await runCli(args);
  return text;
}

function longestLine(text: string): number {
  return Math.max(...text.split('\n').map((line) => line.length));
}

const COMMANDS = commandsOf(createProgram());

test('there are commands below commands', () => {
  expect(COMMANDS).toContainEqual(['nvme', 'map']);
  expect(COMMANDS.length).toBeGreaterThan(15);
});

describe.each(COMMANDS.map((path) => [['ntx', ...path].join(' '), path] as const))('%s --help', (name, path) => {
  test('fits 80 columns, and describes every option and argument', async () => {
    const help = await printed([...path, '--help']);
    expect(help).toContain(`Usage: ${name}`);
    expect(longestLine(help)).toBeLessThanOrEqual(80);
    const command = path.reduce(
      (parent, word) => parent.commands.find((each) => each.name() === word)!,
      createProgram(),
    );
    for (const { long, description } of command.options) {
      expect(help).toContain(long);
      expect(description.length).toBeGreaterThan(5);
    }
    for (const argument of command.registeredArguments) expect(argument.description.length).toBeGreaterThan(4);
  });
});

test('the drive without the kernel is offered where weights are read from it, as docs/nvme.md says', () => {
  const offers = COMMANDS.filter((path) => {
    const command = path.reduce(
      (parent, word) => parent.commands.find((each) => each.name() === word)!,
      createProgram(),
    );
    return command.options.some(({ long }) => long === '--nvme');
  });
  expect(offers.flat().toSorted()).toEqual(['bench', 'chat', 'perplexity', 'run']);
});

test('without arguments, and for a command of commands, help is printed', async () => {
  expect(await printed([])).toBe(await printed(['--help']));
  expect(await printed(['nvme'])).toBe(await printed(['nvme', '--help']));
});

test.each([
  'help',
  'help help',
  'help nvme',
  'nvme help',
  'nvme help list',
])('ntx %s prints one help', async (words) => {
  const help = await printed(words.split(' '));
  expect(help.match(/^Usage: ntx/gm)).toHaveLength(1);
});

test('help of a command that there is not is an error', async () => {
  await expect(runCli(['help', 'sing'])).rejects.toThrow(/unknown command 'sing'/);
  await expect(runCli(['nvme', 'help', 'sing'])).rejects.toThrow(/unknown command 'sing'/);
});

test('a prompt without its option gets it as advice', async () => {
  await expect(runCli(['run', 'a.gguf', 'Hello'])).rejects.toMatchObject({ advice: expect.stringContaining('-p') });
  await expect(runCli(['inspect', 'a.gguf', 'b'])).rejects.toMatchObject({ advice: 'see ntx inspect --help' });
});

test('sentences are broken between words on terminals, and nowhere else', () => {
  const sentence = `ntx: ${'a word and '.repeat(20)}/a/path/that/is/not/broken/${'x'.repeat(60)}.`;
  const lines = wrapped(sentence, 80).split('\n');
  expect(lines.length).toBeGreaterThan(3);
  expect(Math.max(...lines.slice(0, -1).map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(lines.join(' ')).toBe(sentence);
  expect(wrapped(sentence, null)).toBe(sentence);
});

test('a terminal gets no commands from a model, and a pipe gets what the model wrote', () => {
  const written = 'a\x1b[2Jb\r\n\tc\x9b1md\x07 ü 👋';
  expect(harmless(written, { isTTY: true })).toBe('a[2Jb\n\tc1md ü 👋');
  expect(harmless(written, { isTTY: false })).toBe(written);
});

test('findings fit a terminal, with their advice behind them', () => {
  const findings: Finding[] = [
    { name: 'Node', state: 'ok', found: 'v20', advice: 'not told' },
    {
      name: 'cpu backend',
      state: 'missing',
      found: 'not there '.repeat(15).trim(),
      advice: 'install it '.repeat(15).trim(),
    },
    { name: 'huge pages', state: 'note', found: 'none' },
  ];
  const text = findingsText(findings, 80);
  expect(longestLine(text)).toBeLessThanOrEqual(80);
  expect(text).toContain('\n                 there not there');
  expect(text).toMatch(/\nTo mend:\ncpu backend: install it .*\n {2}install it/);
  expect(text).not.toContain('not told');
  expect(findingsText(findings, null).split('\n')[1]).toBe(`--  cpu backend  ${'not there '.repeat(15).trim()}`);
  expect(findingsText(findings.slice(2), 80)).toContain('Nothing is missing.');
});
