// Whatever is wrong with what the user gave: exit status 2, one sentence and advice on stderr, nothing on stdout.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { poked, renamed } from './edited-gguf.js';
import { FABLE_DRAFT, HELDOUT, STORIES } from './files.js';
import { type Ended, ntx } from './program.js';

const folder = mkdtempSync(join(tmpdir(), 'ntx-errors-'));
const stories = readFileSync(STORIES);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function expectSentence(ended: Ended, sentence: RegExp): void {
  expect(ended).toMatchObject({ status: 2, stdout: '' });
  const lines = ended.stderr.trimEnd().split('\n');
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^ntx: .*[.!?]$/);
  expect(lines[0]).toMatch(sentence);
  expect(lines[1]).toMatch(/^(ntx |[A-Z0-9"']).*[.!?]$/);
}

function made(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const RUN = ['-p', 'Once upon a time', '-n', '2'];

/** Bytes behind a tensor's name: dimension count u32, two dimensions u64, type u32, offset u64. */
const TENSOR = { rows: 12, type: 20, offset: 24 };

describe('a model file that ntx cannot run', () => {
  const q = 'blk.0.attn_q.weight';
  test.each<[string, Uint8Array | string, RegExp]>([
    ['an empty file', '', /empty|cut short|0 bytes/],
    ['a text', readFileSync(HELDOUT).subarray(0, 5000), /is not a GGUF file/],
    ['a picture', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), /is not a GGUF file/],
    ['version 1', poked(stories, 4, 1, 4), /version 1/],
    ['version 4', poked(stories, 4, 4, 4), /version 4/],
    ['a tensor count near 2^64', poked(stories, 8, 0xffff_ffff_ffff_fff0n, 8), /claims 18446744073709551600 tensors/],
    ['a metadata count near 2^63', poked(stories, 16, 0x7fff_ffff_ffff_ffffn, 8), /claims 9223372036854775807/],
    ['an architecture that is not known', renamed(stories, 'llama', 'mamba'), /architecture is "mamba"/],
    ['a type of another engine', poked(stories, behind(q) + TENSOR.type, 16, 4), /IQ2_XXS/],
    ['a type of no engine', poked(stories, behind(q) + TENSOR.type, 4711, 4), /4711/],
    ['an offset outside', poked(stories, behind(q) + TENSOR.offset, 1 << 30, 8), /cut short.*attn_q/],
    ['a shape of another size', poked(stories, behind(q) + TENSOR.rows, 32, 8), /attn_q.*64 x 64.*64 x 32/],
    [
      'a missing tensor',
      renamed(stories, 'blk.3.ffn_up.weight', 'blk.3.ffn_xx.weight'),
      /blk.3.ffn_up.weight is missing/,
    ],
    ['no hidden width', renamed(stories, 'llama.embedding_length', 'llama.xxxxxxxxx_length'), /llama.embedding_length/],
    ['no merges', renamed(readFileSync(FABLE_DRAFT), 'tokenizer.ggml.merges', 'tokenizer.ggml.xxxxxx'), /merges/],
    ['no tokens', renamed(stories, 'tokenizer.ggml.tokens', 'tokenizer.ggml.xxxxxx'), /tokens/],
    ['an unknown tokenizer', renamed(readFileSync(FABLE_DRAFT), 'gpt2', 'gptx'), /gptx/],
  ])('%s', async (name, content, sentence) => {
    expectSentence(await ntx(['run', made(`${name.replaceAll(' ', '-')}.gguf`, content), ...RUN]), sentence);
  });

  test('cut short anywhere', async () => {
    // The reader's own tests cut at many more places; here the whole program is asked.
    for (let i = 1; i <= 12; i++) {
      const cut = made('cut.gguf', stories.subarray(0, Math.floor((stories.length * i) / 13) + i));
      expectSentence(await ntx(['run', cut, ...RUN]), /cut short/);
    }
    const inHeader = made('cut.gguf', stories.subarray(0, 700));
    expectSentence(await ntx(['inspect', inHeader]), /cut short/);
  });

  test('no file, a folder, and one that may not be read', async () => {
    expectSentence(await ntx(['run', join(folder, 'nothing.gguf'), ...RUN]), /nothing\.gguf/);
    mkdirSync(join(folder, 'sub'));
    expectSentence(await ntx(['run', join(folder, 'sub'), ...RUN]), /(folder|directory)/);
    expectSentence(await ntx(['inspect', join(folder, 'nothing.gguf')]), /nothing\.gguf/);
  });

  test.skipIf(process.getuid?.() === 0)('one without permission (root may read everything)', async () => {
    expectSentence(await ntx(['run', unreadable(), ...RUN]), /may not be read by this user/);
  });
});

describe('a prompt that cannot be run', () => {
  test('an empty one, however it comes', async () => {
    expectSentence(await ntx(['run', '-p', '']), /the prompt is empty/);
    expectSentence(await ntx(['run', '-f', made('empty.txt', '')]), /is empty/);
    expectSentence(await ntx(['run', '-f', '-'], { input: '' }), /is empty/);
    expectSentence(await ntx(['run', STORIES], { input: '\n' }), /no prompt/);
  });

  test('none, for a model that does not begin by itself', async () => {
    expectSentence(await ntx(['run', STORIES]), /no prompt/);
  });

  test('one longer than the context', async () => {
    const long = 'once upon a time '.repeat(100);
    expectSentence(await ntx(['run', STORIES, '-p', long, '-c', '64']), /the prompt has \d+ tokens; a context of 64/);
    expectSentence(await ntx(['run', '-c', '4']), /the prompt has \d+ tokens; a context of 4/);
  });

  test('one that is no text, or no file', async () => {
    expectSentence(await ntx(['run', '-f', STORIES]), /is not UTF-8 text/);
    expectSentence(await ntx(['run', '-f', join(folder, 'nothing.txt')]), /nothing\.txt cannot be read/);
    expectSentence(await ntx(['run', '-f', folder]), /cannot be read/);
    expectSentence(await ntx(['run', '-p', 'a', '-f', 'b']), /both/);
  });
});

describe('a command line that is wrong', () => {
  test.each<[string[], RegExp]>([
    [['nonsense'], /unknown command 'nonsense'/],
    [['run', '--nonsense'], /unknown option '--nonsense'/],
    [['run', '--temprature', '1'], /unknown option '--temprature'/],
    [['run', '--seed'], /argument missing/],
    [['run', 'a', 'b'], /too many arguments/],
    [['inspect'], /missing required argument 'model'/],
    [['run', '-n', 'ten'], /--max-tokens: expected a whole number from 1 to \d+, got "ten"/],
    [['run', '-n', '0'], /--max-tokens: expected/],
    [['run', '-c', '1e99'], /--context: expected/],
    [['run', '-t', '0'], /--threads: expected/],
    [['run', '--temperature', 'hot'], /--temperature: expected a number, got "hot"/],
    [['run', '--temperature', '-1'], /temperature: expected/],
    [['run', '--top-p', '2'], /topP: expected a number from 0 to 1, got 2/],
    [['run', '--seed', '-1'], /seed: expected/],
    [['run', '--backend', 'abacus'], /--backend: expected one of auto, .*webgpu, cpu, reference, got "abacus"/],
    [['chat', '--system', 'Be kind.'], /no chat template/],
    [['perplexity', STORIES], /missing required argument 'text'/],
    [['perplexity', STORIES, HELDOUT, '--window', '7'], /window: expected an even number/],
    [['perplexity', STORIES, HELDOUT, '--window', '65536'], /the text has \d+ tokens; one window takes 65536/],
    [['synth', 'nonsense', 'x.gguf'], /no shape named 'nonsense'/],
    [['synth', 'tiny-llama', 'x.gguf', '--type', 'Q9'], /no type of weights named 'Q9'/],
    [['synth', 'tiny-llama', '/nowhere/x.gguf'], /\/nowhere/],
    [['bench', '--repeat', '0'], /--repeat: expected/],
    [['nvme', 'map', STORIES, '-o', 'x.json'], /a map ends in \.ntxmap, and this is x\.json/],
    [['help', 'nonsense'], /unknown command 'nonsense'/],
    [['bench', STORIES, '--ops', '--backend', 'cpu'], /the cpu backend has no clock for single kernels/],
  ])('ntx %j', async (args, sentence) => {
    expectSentence(await ntx(args), sentence);
  });

  test('a context that no memory holds', async () => {
    const ended = await ntx(['run', '-c', String(2 ** 24), '-n', '1']);
    expectSentence(ended, /needs \d+ MiB of RAM, .* the KV cache \(\d+ MiB\) alone does not fit/);
  });

  test('a misspelt option gets the right one as advice', async () => {
    expect((await ntx(['run', '--temprature', '1'])).stderr).toContain('Did you mean --temperature?');
    expect((await ntx(['rnu'])).stderr).toContain('Did you mean run?');
    expect((await ntx(['run', '--what'])).stderr).toContain('ntx run --help');
  });

  test('NTX_DEBUG adds where it came from', async () => {
    const { status, stderr } = await ntx(['run', '-p', ''], { env: { NTX_DEBUG: '1' } });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^NtxError: the prompt is empty\n {4}at /);
  });
});

/** Where the bytes behind a name in the header begin. */
function behind(name: string): number {
  return stories.indexOf(name) + name.length;
}

function unreadable(): string {
  const path = made('unreadable.gguf', stories);
  chmodSync(path, 0);
  return path;
}
