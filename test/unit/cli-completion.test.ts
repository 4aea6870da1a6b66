import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { bashScript } from '../../src/cli/completion-bash.js';
import { fishScript } from '../../src/cli/completion-fish.js';
import { describe as describeCommand, withSubcommands } from '../../src/cli/completion-words.js';
import { zshScript } from '../../src/cli/completion-zsh.js';
import { createProgram } from '../../src/cli/program.js';

const program = describeCommand(createProgram());
const folder = mkdtempSync(join(tmpdir(), 'ntx-completion-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, 'models of mine'));
for (const name of ['small.gguf', 'drive.ntxmap', 'notes.txt', 'a name.gguf']) writeFileSync(join(folder, name), '');

const scripts = { bash: bashScript(program), zsh: zshScript(program), fish: fishScript(program) };
for (const [shell, script] of Object.entries(scripts)) writeFileSync(join(folder, `completion.${shell}`), script);

function run(shell: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(shell, args, { cwd: folder, encoding: 'utf8' });
  if (error || status !== 0 || stderr !== '') throw error ?? new Error(`${shell} ended with ${status}: ${stderr}`);
  return stdout;
}

const hasShell = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0;

/** What bash offers for the last of the words. */
function bash(...words: string[]): string[] {
  const list = ['ntx', ...words].map((word) => `'${word}'`).join(' ');
  const line = `source completion.bash; COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _ntx; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return run('bash', ['--norc', '-c', line])
    .split('\n')
    .filter((each) => each !== '');
}

describe('bash completes', () => {
  test('commands, and commands below them', () => {
    expect(bash('')).toEqual(expect.arrayContaining(['run', 'chat', 'nvme', 'completion']));
    expect(bash('p')).toEqual(['perplexity', 'plan']);
    expect(bash('nvme', 'un')).toEqual(['unbind']);
    expect(bash('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  test('options of the command, and the values of those that have choices', () => {
    expect(bash('run', '--pro')).toEqual(['--prompt']);
    expect(bash('inspect', '--pro')).toEqual([]);
    expect(bash('nvme', 'map', '--o')).toEqual(['--output']);
    expect(bash('run', 'x.gguf', '--backend', 'c')).toEqual(['cuda', 'cpu']);
    expect(bash('synth', '--type', 'Q4_K')).toEqual(['Q4_K', 'Q4_K_S', 'Q4_K_M']);
    expect(bash('run', '--prompt', '')).toEqual([]);
  });

  test('models as files, wherever their place is on the line', () => {
    const models = ['a name.gguf', 'drive.ntxmap', 'models of mine', 'small.gguf'];
    expect(bash('run', '')).toEqual(models);
    expect(bash('run', '-p', 'run', '--temperature', '0', 's')).toEqual(['small.gguf']);
    expect(bash('run', 'small.gguf', '')).toEqual([]);
    expect(bash('nvme', 'map', 's')).toEqual(['small.gguf']);
    expect(bash('perplexity', 'small.gguf', 'n')).toEqual(['notes.txt']);
    expect(bash('run', '--file', 'n')).toEqual(['notes.txt']);
    expect(bash('doctor', '')).toEqual(['models of mine']);
    expect(bash('synth', 'tiny-l')).toEqual(['tiny-llama', 'tiny-llama-256']);
  });
});

test.each(['zsh', 'fish'] as const)('%s is told every command and option', (shell) => {
  for (const { path, options } of withSubcommands(program)) {
    expect(scripts[shell]).toContain(path.split(' ').at(-1));
    for (const name of options.flatMap(({ names }) => names)) {
      const fish = name.startsWith('--') ? `-l ${name.slice(2)} ` : `-s ${name.slice(1)} `;
      expect(scripts[shell]).toContain(shell === 'fish' ? fish : name);
    }
  }
});

test.skipIf(!hasShell('zsh'))('zsh takes its script (left out where there is no zsh)', () => {
  run('zsh', ['-n', 'completion.zsh']);
  const loaded = 'autoload -U compinit && compinit -u -D && source completion.zsh && print $_comps[ntx]';
  expect(run('zsh', ['-f', '-c', loaded]).trim()).toBe('_ntx');
});

test.skipIf(!hasShell('fish'))('fish completes (left out where there is no fish)', () => {
  const fish = (line: string) =>
    run('fish', ['--no-config', '-c', `source completion.fish; complete -C '${line}'`])
      .trimEnd()
      .split('\n')
      .map((each) => each.split('\t')[0]);
  expect(fish('ntx per')).toEqual(['perplexity']);
  expect(fish('ntx nvme un')).toEqual(['unbind']);
  expect(fish('ntx run --pro')).toEqual(['--prompt']);
  expect(fish('ntx run --backend c')).toEqual(['cpu', 'cuda']);
  expect(fish('ntx run sm')).toContain('small.gguf');
});
