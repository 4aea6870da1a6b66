import { describe, expect, test } from 'vitest';
import { NtxError } from '../../src/errors.js';
import { type FinishReason, type GenerateParameters, generate } from '../../src/generate.js';
import { type Choice, Sampler, samplerOptions } from '../../src/sampler/index.js';
import { Sequence } from '../../src/sequence.js';
import { FakeBackend } from './fake-backend.js';

const SIZES = { maxRows: 4, maxOutputs: 2, slots: 2, context: 32 };
const GREEDY = samplerOptions({ temperature: 0, repeatPenalty: 1 });
const PARAMETERS = () => ({ sampler: new Sampler(GREEDY), maxTokens: 8, endTokens: new Set<number>() });

function setUp(sizes: Partial<typeof SIZES> = {}) {
  const backend = new FakeBackend(50);
  const forward = backend.forward({ ...SIZES, ...sizes });
  return { backend, forward, sequence: new Sequence(forward, 1) };
}

/** Greedy decoding by the fake's definition. */
function expected(backend: FakeBackend, prompt: readonly number[], count: number): number[] {
  const all = [...prompt];
  for (let i = 0; i < count; i++) {
    const logits = backend.logits(all);
    all.push(logits.indexOf(Math.max(...logits)));
  }
  return all.slice(prompt.length);
}

async function collect(
  sequence: Sequence,
  prompt: readonly number[],
  parameters: Partial<GenerateParameters> = {},
): Promise<{ tokens: number[]; reason: FinishReason }> {
  const choices = generate(sequence, prompt, { ...PARAMETERS(), ...parameters });
  const tokens: number[] = [];
  for (;;) {
    const next = await choices.next();
    if (next.done) return { tokens, reason: next.value };
    tokens.push(next.value.token);
  }
}

describe('the loop', () => {
  test.each([1, 2, 3, 4, 5, 7, 32])('a prompt in passes of at most %i rows gives the same tokens', async (maxRows) => {
    const { backend, sequence } = setUp({ maxRows });
    const prompt = [3, 1, 4, 1, 5, 9, 2, 6];
    const { tokens, reason } = await collect(sequence, prompt);
    expect(tokens).toEqual(expected(backend, prompt, 8));
    expect(reason).toBe('length');
    const passes = Math.ceil(prompt.length / maxRows);
    expect(backend.passes.slice(0, passes).map(({ rows }) => rows)).toEqual(
      Array.from({ length: passes }, (_, i) => Math.min(maxRows, prompt.length - i * maxRows)),
    );
    expect(backend.passes.slice(0, passes - 1).every(({ outputs }) => outputs === 0)).toBe(true);
    // The last chosen token is not run: nobody asked what follows it.
    expect(backend.passes).toHaveLength(passes + 7);
  });

  test('an end token ends it and is not yielded', async () => {
    const { backend, sequence } = setUp();
    const [first, second, third] = expected(backend, [7], 3);
    expect(new Set([first, second, third]).size).toBe(3);
    const { tokens, reason } = await collect(sequence, [7], { endTokens: new Set([third]) });
    expect({ tokens, reason }).toEqual({ tokens: [first, second], reason: 'end' });
  });

  test('a full context ends it, after the last token that the logits gave', async () => {
    const { backend, sequence } = setUp({ context: 6 });
    const { tokens, reason } = await collect(sequence, [1, 2, 3], { maxTokens: 100 });
    expect(reason).toBe('context');
    // Positions 3, 4, 5 hold three of them; the fourth comes out of position 5.
    expect(tokens).toEqual(expected(backend, [1, 2, 3], 4));
    expect(sequence.room).toBe(0);
  });

  test('an abort between tokens ends it', async () => {
    const { sequence } = setUp();
    const controller = new AbortController();
    const choices = generate(sequence, [1, 2], {
      ...{ ...PARAMETERS(), maxTokens: 100 },
      signal: controller.signal,
    });
    await choices.next();
    await choices.next();
    controller.abort();
    expect(await choices.next()).toEqual({ done: true, value: 'cancelled' });
  });

  test('an abort during the prompt ends it, and the next prompt goes on from what has run', async () => {
    const { backend, sequence } = setUp();
    const controller = new AbortController();
    const prompt = Array.from({ length: 12 }, (_, i) => i);
    const onPrompt = (done: number, total: number) => {
      expect(total).toBe(12);
      if (done === 8) controller.abort();
    };
    const { tokens, reason } = await collect(sequence, prompt, { signal: controller.signal, onPrompt });
    expect({ tokens, reason }).toEqual({ tokens: [], reason: 'cancelled' });
    expect(sequence.tokens).toEqual(prompt.slice(0, 8));
    const again = await collect(sequence, prompt);
    expect(again.tokens).toEqual(expected(backend, prompt, 8));
    expect(backend.passes.slice(0, 3).map(({ rows }) => rows)).toEqual([4, 4, 4]);
  });
});

describe('the KV cache between prompts', () => {
  test('runs only what is new, and gives what a fresh run gives', async () => {
    const { backend, sequence } = setUp();
    const first = await collect(sequence, [5, 6, 7]);
    const longer = [5, 6, 7, ...first.tokens.slice(0, 4), 11, 12];
    const before = backend.passes.length;
    const again = await collect(sequence, longer);
    expect(again.tokens).toEqual(expected(backend, longer, 8));
    // 7 of 9 tokens were held: one pass of 2 rows, then 7 tokens.
    expect(backend.passes.slice(before).map(({ rows }) => rows)).toEqual([2, 1, 1, 1, 1, 1, 1, 1]);
  });

  test('the same prompt again runs its last token again', async () => {
    const { backend, sequence } = setUp();
    const first = await collect(sequence, [5, 6, 7]);
    const before = backend.passes.length;
    expect(await collect(sequence, [5, 6, 7])).toEqual(first);
    expect(backend.passes[before]).toEqual({ rows: 1, outputs: 1 });
  });

  test('a prompt that parts from it early, and a shorter one, forget the rest', async () => {
    const { backend, sequence } = setUp();
    await collect(sequence, [5, 6, 7, 8]);
    expect((await collect(sequence, [5, 9])).tokens).toEqual(expected(backend, [5, 9], 8));
    expect((await collect(sequence, [5])).tokens).toEqual(expected(backend, [5], 8));
  });

  test('truncate forgets', async () => {
    const { backend, sequence } = setUp();
    await sequence.extend([1, 2, 3, 4]);
    sequence.truncate(2);
    expect(sequence.tokens).toEqual([1, 2]);
    const output = await sequence.extend([9]);
    const logits = backend.logits([1, 2, 9]);
    expect(output!.tokens[0]).toBe(logits.indexOf(Math.max(...logits)));
    sequence.truncate(100);
    expect(sequence.length).toBe(3);
  });

  test('more tokens than there is room for are refused before anything runs', async () => {
    const { backend, sequence } = setUp({ context: 4 });
    await expect(sequence.extend([1, 2, 3, 4, 5])).rejects.toThrow(NtxError);
    await expect(sequence.extend([])).rejects.toThrow(NtxError);
    expect(backend.passes).toHaveLength(0);
  });
});

describe('a device that draws tokens by itself', () => {
  const PROMPT = [3, 1, 4, 1, 5];

  /** Passes behind those of the prompt. */
  async function run(drawnPlace: (position: number) => number, parameters: Partial<GenerateParameters> = {}) {
    const { backend, sequence } = setUp();
    backend.drawnPlace = drawnPlace;
    const { tokens, reason } = await collect(sequence, PROMPT, parameters);
    return { backend, sequence, tokens, reason, passes: backend.passes.length - 2 };
  }

  test('runs each pass once', async () => {
    const { backend, tokens, passes } = await run(() => 0);
    expect(tokens).toEqual(expected(backend, PROMPT, 8));
    expect(passes).toBe(7);
  });

  test('changes nothing where it draws others than the host, all or some: their passes were in vain', async () => {
    const all = await run(() => 3);
    expect(all.tokens).toEqual(expected(all.backend, PROMPT, 8));
    expect(all.passes).toBe(14);
    const some = await run((position) => (position % 3 === 0 ? 1 : 0));
    expect(some.tokens).toEqual(expected(some.backend, PROMPT, 8));
    // Positions 5 to 11: two of them are multiples of 3.
    expect(some.passes).toBe(9);
  });

  test('ends at an end token, one pass too late, and goes on with another prompt', async () => {
    const { backend } = setUp();
    const [first, second, third] = expected(backend, PROMPT, 3);
    const ended = await run(() => 0, { endTokens: new Set([third]) });
    expect(ended).toMatchObject({ tokens: [first, second], reason: 'end', passes: 3 });
    const next = [...PROMPT, first, 9];
    expect((await collect(ended.sequence, next)).tokens).toEqual(expected(backend, next, 8));
  });

  test('is not asked for a token behind the last one, or behind the context', async () => {
    expect((await run(() => 0, { maxTokens: 1 })).passes).toBe(0);
    const { backend, sequence } = setUp({ context: 8 });
    backend.drawnPlace = () => 0;
    const { tokens, reason } = await collect(sequence, PROMPT, { maxTokens: 100 });
    expect({ tokens, reason }).toEqual({ tokens: expected(backend, PROMPT, 4), reason: 'context' });
    expect(backend.passes).toHaveLength(2 + 3);
  });

  test('does not take a pass of its own for one of another sequence in between', async () => {
    const backend = new FakeBackend(50);
    backend.drawnPlace = () => 0;
    const forward = backend.forward(SIZES);
    const other = new Sequence(forward, 0);
    const choices = generate(new Sequence(forward, 1), PROMPT, PARAMETERS());
    const tokens: number[] = [];
    for (let next = await choices.next(); !next.done; next = await choices.next()) {
      tokens.push(next.value.token);
      const held = [...other.tokens, tokens.length];
      const output = await other.extend([tokens.length]);
      expect(output!.tokens[0]).toBe(expected(backend, held, 1)[0]);
    }
    expect(tokens).toEqual(expected(backend, PROMPT, 8));
  });

  test('does not take its pass for begun where another one was profiled in between', async () => {
    const { backend, sequence, forward } = setUp();
    backend.drawnPlace = () => 0;
    const choices = generate(sequence, PROMPT, PARAMETERS());
    const { token } = (await choices.next()).value as Choice;
    await choices.return('cancelled' as never);
    forward.step.clear();
    forward.step.addOutput(forward.step.addRow(9, 0, 0));
    await forward.profile();
    const output = await sequence.extend([token]);
    expect(output!.tokens[0]).toBe(expected(backend, [...PROMPT, token], 1)[0]);
  });

  test('goes on where a consumer has stopped, or a result could not be read, while a pass was under way', async () => {
    const { backend, sequence } = setUp();
    backend.drawnPlace = () => 0;
    for await (const _ of generate(sequence, PROMPT, PARAMETERS())) break;
    expect(backend.passes).toHaveLength(3);
    expect((await collect(sequence, PROMPT)).tokens).toEqual(expected(backend, PROMPT, 8));
    const choices = generate(sequence, [...PROMPT, 9], PARAMETERS());
    await choices.next();
    backend.failsToRead = true;
    await expect(choices.next()).rejects.toThrow('no candidates');
    backend.failsToRead = false;
    expect((await collect(sequence, PROMPT)).tokens).toEqual(expected(backend, PROMPT, 8));
  });
});
