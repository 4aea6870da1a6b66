import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { withMetadataText } from './edited-gguf.js';
import { HELDOUT, STORIES } from './files.js';
import { ntx, shell } from './program.js';

const folder = mkdtempSync(join(tmpdir(), 'ntx-cli-'));
const GREEDY = ['--temperature', '0', '--repeat-penalty', '1'];

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function made(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The stories model with a chat template, as an instruct model has one. */
const TALKING = made(
  'talking.gguf',
  withMetadataText(
    readFileSync(STORIES),
    'tokenizer.chat_template',
    "{% for message in messages %}{{ message.role + ': ' + message.content + ' ' }}{% endfor %}{{ 'assistant:' }}",
  ),
);

describe('ntx run', () => {
  test('tells a story of its own, and the same one again with the seed that it names', async () => {
    // A story may be at its end before: seeds are at random.
    const first = await ntx(['run', '-n', '20', '--ignore-eos']);
    expect(first).toMatchObject({ status: 0 });
    expect(first.stdout).toMatch(/^[A-Z].{40,}\n$/s);
    const seed = /seed (\d+)/.exec(first.stderr)![1];
    expect(first.stderr).toMatch(
      /^\d+ prompt tokens, [\d.]+ tok\/s \| 20 tokens, [\d.]+ tok\/s \| --max-tokens reached \| seed \d+\n$/,
    );
    const again = await ntx(['run', '-n', '20', '--ignore-eos', '--seed', seed]);
    expect(again.stdout).toBe(first.stdout);
  });

  test('takes its prompt from -p, a file or standard input', async () => {
    const prompt = 'Once upon a time';
    const rest = [STORIES, '-n', '12', ...GREEDY];
    const written = await ntx(['run', '-p', prompt, ...rest]);
    expect(written.status).toBe(0);
    expect(written.stdout).toMatch(/^, there was a little girl/);
    const file = made('prompt.txt', `${prompt}\n`);
    for (const other of [
      await ntx(['run', '-f', file, ...rest]),
      await ntx(['run', ...rest], { input: `${prompt}\n` }),
      await ntx(['run', '-f', '-', ...rest], { input: prompt }),
      await ntx(['run', '-p', prompt, ...rest], { input: 'not this' }),
    ]) {
      expect(other).toMatchObject({ status: 0, stdout: written.stdout });
    }
  });

  test('--json writes one object a token and a summary', async () => {
    const args = ['run', STORIES, '-p', 'Once upon a time', '-n', '12', '--seed', '5'];
    const { status, stdout } = await ntx([...args, '--json']);
    expect(status).toBe(0);
    const objects = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const summary = objects.pop();
    expect(summary).toMatchObject({
      type: 'summary',
      finishReason: 'length',
      generatedTokens: 12,
      promptTokens: 5,
      seed: 5,
    });
    expect(objects.filter(({ token }) => token !== null)).toHaveLength(12);
    for (const { type, logProbability } of objects) {
      expect(type).toBe('token');
      expect(logProbability).toBeLessThanOrEqual(0);
    }
    const plain = await ntx(args);
    expect(`${objects.map(({ text }) => text).join('')}\n`).toBe(plain.stdout);
  });

  test('ends before a stop text', async () => {
    const args = ['run', STORIES, '-p', 'Once upon a time', '-n', '30', ...GREEDY];
    const whole = await ntx(args);
    const cut = await ntx([...args, '--stop', 'nothing such', '--stop', 'girl']);
    expect(whole.stdout).toContain('girl');
    expect(cut.stdout).toBe(`${whole.stdout.split('girl')[0]}\n`);
    expect(cut.stderr).toContain('stop text');
  });

  test('puts a prompt into the chat template of a model that has one, unless --raw', async () => {
    const rest = ['-n', '8', ...GREEDY];
    const turn = await ntx(['run', TALKING, '-p', 'Once upon a time', ...rest]);
    const byHand = await ntx(['run', STORIES, '-p', 'user: Once upon a time assistant:', ...rest]);
    const raw = await ntx(['run', TALKING, '--raw', '-p', 'Once upon a time', ...rest]);
    const plain = await ntx(['run', STORIES, '-p', 'Once upon a time', ...rest]);
    expect(turn.stdout).toBe(byHand.stdout);
    expect(raw.stdout).toBe(plain.stdout);
    expect(turn.stdout).not.toBe(raw.stdout);
  });

  test('the reference backend writes the same text', async () => {
    const args = ['run', STORIES, '-p', 'Once upon a time', '-n', '8', ...GREEDY, '--backend'];
    const [cpu, reference] = [await ntx([...args, 'cpu']), await ntx([...args, 'reference'])];
    expect(cpu.status).toBe(0);
    expect(reference).toMatchObject({ status: 0, stdout: cpu.stdout });
  });

  test('a reader that leaves ends it quietly', async () => {
    const { stdout, stderr } = await shell('ntx run -n 900 --ignore-eos | head -c 10; echo " status $PIPESTATUS"');
    expect(stdout).toMatch(/^.{10} status 0\n$/s);
    expect(stderr).toBe('');
  });

  test('notes that cannot be written change neither text nor status', async () => {
    const line = (end: string) => `ntx run ${STORIES} -p Once -n 4 ${GREEDY.join(' ')} 2> ${end}; echo " status $?"`;
    const { stdout } = await shell(line('/dev/null'));
    expect(stdout).toMatch(/^.+ status 0\n$/s);
    expect((await shell(line('/dev/full'))).stdout).toBe(stdout);
    expect((await shell('ntx nonsense 2> /dev/full; echo " status $?"')).stdout).toBe(' status 2\n');
  });

  test('Ctrl-C ends it with the summary and status 130', async () => {
    let sent = false;
    const { status, stdout, stderr } = await ntx(['run', '-n', '1000', '--ignore-eos'], {
      onOutput: (child) => {
        if (!sent) child.kill('SIGINT');
        sent = true;
      },
    });
    expect(status).toBe(130);
    expect(stdout.length).toBeGreaterThan(0);
    expect(stderr).toMatch(/\d+ tokens, .* \| stopped \| seed \d+\n$/);
  });

  test('warns when the context is longer than the model knows', async () => {
    const { status, stderr } = await ntx(['run', STORIES, '-p', 'Once', '-n', '1', '-c', '5000']);
    expect(status).toBe(0);
    expect(stderr).toContain('the context of 5000 tokens is longer than');
  });
});

describe('ntx chat', () => {
  test('without a template says so, and continues the text of both', async () => {
    const args = ['chat', STORIES, '-n', '8', ...GREEDY];
    const { status, stdout, stderr } = await ntx(args, { input: 'Once upon a time\n\n' });
    expect(status).toBe(0);
    expect(stderr).toContain('no chat template');
    const whole = await ntx(['run', STORIES, '-p', 'Once upon a time', '-n', '16', ...GREEDY]);
    expect(stdout.replaceAll('\n', '')).toBe(whole.stdout.trimEnd());
    // The second turn ran only what was new.
    expect(stderr).toMatch(/13 prompt tokens \(12 known\)/);
  });

  test('with a template takes turns, and knows its commands', async () => {
    const input = 'Hello\n/help\n/nonsense\nAnd you\n/reset\nHello\n/exit\nnot read\n';
    const { status, stdout, stderr } = await ntx(['chat', TALKING, '-n', '6', ...GREEDY], { input });
    expect(status).toBe(0);
    const answers = stdout.trimEnd().split('\n');
    expect(answers).toHaveLength(3);
    expect(answers[2]).toBe(answers[0]);
    expect(stderr).toContain('/reset  forget');
    expect(stderr).toContain('There is no command /nonsense.');
    const byHand = `user: Hello assistant:${answers[0]} user: And you assistant:`;
    const second = await ntx(['run', STORIES, '-p', byHand, '-n', '6', ...GREEDY]);
    expect(answers[1].trimEnd()).toBe(second.stdout.trimEnd());
  });

  test('drops the oldest turns when the context is full, and says so', async () => {
    const input = `${'One two three four five.\n'.repeat(6)}`;
    const { status, stderr } = await ntx(['chat', TALKING, '-n', '8', '-c', '96', '--system', 'Be kind.'], { input });
    expect(status).toBe(0);
    expect(stderr).toMatch(/the context is full: the oldest \d+ messages were dropped/);
    expect(stderr.match(/seed/g)).toHaveLength(6);
  });

  test('a message that is too long is refused, and the chat goes on', async () => {
    const input = `${'word '.repeat(200)}\nHello\n`;
    const { status, stdout, stderr } = await ntx(['chat', TALKING, '-n', '4', '-c', '64'], { input });
    expect(status).toBe(0);
    expect(stderr).toMatch(/tokens; the context has room for/);
    expect(stdout.trimEnd()).not.toBe('');
  });
});

describe('the other commands', () => {
  test('inspect shows metadata, tensors and units', async () => {
    const { status, stdout } = await ntx(['inspect', STORIES]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/general\.architecture +"?llama/);
    expect(stdout).toMatch(/blk\.0\.attn_q\.weight +F32 +64 x 64 +16 KiB/);
    expect(stdout).toMatch(/layer 4 feed-forward +\d/);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThan(160);
  });

  test('inspect --json holds the same for programs', async () => {
    const { status, stdout } = await ntx(['inspect', STORIES, '--json']);
    expect(status).toBe(0);
    const found = JSON.parse(stdout);
    expect(found).toMatchObject({ version: 3, runs: true, config: { layers: 5, width: 64 } });
    expect(found.metadata['tokenizer.ggml.tokens']).toMatchObject({ length: 512, first: expect.any(Array) });
    const bytes = found.tensors.reduce((sum: number, tensor: { bytes: number }) => sum + tensor.bytes, 0);
    expect(found.types.F32.bytes).toBe(bytes);
    expect(found.units.map(({ name }: { name: string }) => name)).toContain('layer 0 attention');
  });

  test('inspect shows what it can of a file that ntx cannot run', async () => {
    const path = made('strange.gguf', withArchitecture('mamba'));
    const { status, stdout } = await ntx(['inspect', path]);
    expect(status).toBe(0);
    expect(stdout).toContain('ntx cannot run this file: the model\'s architecture is "mamba"');
  });

  test('bench --json tells rates, bytes and the machine', async () => {
    const args = ['bench', STORIES, '--prompt-tokens', '32', '--tokens', '8', '--repeat', '2', '--json'];
    const { status, stdout } = await ntx(args);
    expect(status).toBe(0);
    const result = JSON.parse(stdout);
    // Every weight of the file but the embedding, which is the tied output head too.
    expect(result.bytesPerToken).toBe(result.model.weightBytes);
    expect(result.decode.best).toBeGreaterThanOrEqual(result.decode.median);
    expect(result.prompt.median).toBeGreaterThan(0);
    expect(result.readBandwidth).toBeGreaterThan(1e8);
    expect(result.shareOfBandwidth).toBeCloseTo((result.bytesPerToken * result.decode.best) / result.readBandwidth, 6);
    expect(result.machine).toMatchObject({ cpu: expect.any(String), cores: expect.any(Number), node: process.version });
    expect(result.memory.peakOfLoad).toBeGreaterThan(result.memory.weights);
  });

  test('synth writes a model that inspect and run take', async () => {
    const path = join(folder, 'synth.gguf');
    const args = ['synth', 'tiny-qwen3', path, '--type', 'Q8_0', '--seed', '3'];
    expect(await ntx(args)).toMatchObject({ status: 0, stdout: `${path}\n` });
    expect((await ntx(args)).status).toBe(2);
    const bytes = readFileSync(path);
    expect((await ntx([...args, '--force'])).status).toBe(0);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect((await ntx(['inspect', path])).status).toBe(0);
    expect((await ntx(['run', path, '-p', 'a', '-n', '4', '--ignore-eos'])).status).toBe(0);
  });

  test('perplexity prints the figure', async () => {
    const args = ['perplexity', STORIES, HELDOUT, '--window', '64', '--windows', '2'];
    const { status, stdout } = await ntx(args);
    expect(status).toBe(0);
    const printed = Number(/^perplexity ([\d.]+) \+- [\d.]+\n$/.exec(stdout)![1]);
    const json = JSON.parse((await ntx([...args, '--json'])).stdout);
    expect(json).toMatchObject({ window: 64, windows: 2, scoredTokens: 62 });
    expect(json.perplexity).toBeCloseTo(printed, 3);
  });

  test('doctor says what is there', async () => {
    const { status, stdout } = await ntx(['doctor']);
    expect(status).toBe(0);
    for (const word of ['Node', 'processor', 'memory', 'cpu backend', 'C++ compiler', 'huge pages', 'embedded model']) {
      expect(stdout).toContain(word);
    }
    const { findings } = JSON.parse((await ntx(['doctor', '--json'])).stdout);
    expect(findings).toContainEqual({ name: 'Node', state: 'ok', found: process.version });
    for (const { state, advice } of findings) if (state === 'missing') expect(advice).toEqual(expect.any(String));
  });

  test('--version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await ntx(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });
});

/** The stories model that says it is of another architecture, of a name of the same length. */
function withArchitecture(name: string): Buffer {
  const bytes = Buffer.from(readFileSync(STORIES));
  const at = bytes.indexOf('general.architecture') + 'general.architecture'.length + 4 + 8;
  expect(bytes.toString('utf8', at, at + 5)).toBe('llama');
  bytes.write(name, at);
  return bytes;
}
