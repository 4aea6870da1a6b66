// What every backend that draws tokens by itself promises (Backend.submitDrawn): the draws of src/sampler, and passes of them.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Backend, DeviceRange, DrawnPass } from '../../src/backend/backend.js';
import { type Output, outputBytes, readOutputs } from '../../src/backend/outputs.js';
import { StepBuffer } from '../../src/backend/step.js';
import { NtxError } from '../../src/errors.js';
import { Sampler, type SamplerOptions, samplerOptions } from '../../src/sampler/index.js';
import { seededRandom } from '../../src/sampler/random.js';

const WIDTH = 64;
const VOCABULARY = 1000;
const MOST = 256;
const SIZES = { maxRows: 4, maxOutputs: 2, slots: 2, context: 64 };

/** Candidates by descending logit, of tokens in no order. */
export function candidatesOf(seed: number, count: number, spread: number): Output {
  const random = seededRandom(seed);
  const tokens = Array.from({ length: VOCABULARY }, (_, token) => ({ token, at: random() }));
  const chosen = tokens.sort((a, b) => a.at - b.at).slice(0, count);
  const logits = chosen.map(() => Math.fround(spread * (random() + random() + random() - 1.5))).sort((a, b) => b - a);
  return {
    logSumExp: 0,
    targetLogit: 0,
    tokens: Uint32Array.from(chosen, ({ token }) => token),
    logits: Float32Array.from(logits),
  };
}

function bytesOf({ tokens, logits }: Output): Uint8Array {
  const words = new Uint32Array(outputBytes(MOST) / 4);
  words[2] = tokens.length;
  const bits = new Uint32Array(logits.buffer, logits.byteOffset, logits.length);
  tokens.forEach((token, i) => {
    words.set([token, bits[i]], 4 + 2 * i);
  });
  return new Uint8Array(words.buffer);
}

export class Drawing {
  readonly #list;
  readonly #candidates: DeviceRange;
  readonly #out: DeviceRange;

  constructor(private readonly backend: Backend) {
    const whole = (bytes: number, label: string) => {
      return { memory: backend.allocateDevice(bytes, label), offset: 0, bytes };
    };
    this.#candidates = whole(outputBytes(MOST), 'candidates');
    this.#out = whole(4 * WIDTH * SIZES.maxRows, 'out');
    const table = whole(4 * WIDTH * VOCABULARY, 'table');
    this.#fill(table, new Uint8Array(Float32Array.from({ length: WIDTH * VOCABULARY }, (_, i) => i).buffer));
    this.#list = backend.record([{ kind: 'embed', table: 'table', out: 'out' }], {
      weights: new Map([['table', { type: 'F32', rows: VOCABULARY, cols: WIDTH, range: table }]]),
      buffers: new Map([['out', this.#out]]),
      sizes: SIZES,
    });
  }

  /** The token that the device draws, and that the row in `out` is of. */
  async draw(output: Output, sampler: Sampler, history: readonly number[]): Promise<[drawn: number, embedded: number]> {
    this.fill(output);
    const pass = await this.submit(sampler, history);
    const [{ drawn, tokens }] = readOutputs(await pass.candidates, 1, MOST);
    expect(tokens).toEqual(output.tokens);
    const row = new Float32Array(await this.backend.read({ ...this.#out, bytes: 4 * WIDTH }));
    expect(row.map((value) => value - row[0])).toEqual(Float32Array.from({ length: WIDTH }, (_, i) => i));
    return [drawn!, row[0] / WIDTH];
  }

  /** What is drawn from. */
  fill(output: Output): void {
    this.#fill(this.#candidates, bytesOf(output));
  }

  async submit(sampler: Sampler, history: readonly number[]): Promise<DrawnPass> {
    const step = new StepBuffer(SIZES.maxRows, SIZES.maxOutputs);
    step.addOutput(step.addRow(7, 3, 1));
    // Kernels may still be compiled.
    for (let wait = 0; wait < 1000; wait++) {
      const pass = this.backend.submitDrawn!(this.#list, step, this.#candidates, sampler.sampling(history)!);
      if (pass) return pass;
      await sleep(5);
    }
    throw new Error('nothing is drawn');
  }

  #fill(to: DeviceRange, bytes: Uint8Array): void {
    const staging = this.backend.allocateHost(bytes.length, 'staging');
    staging.view(0, bytes.length).set(bytes);
    this.backend.copy({ memory: staging, offset: 0, bytes: bytes.length }, to);
    staging.free();
  }
}

const OFF = { topK: 0, topP: 1, minP: 0, repeatPenalty: 1, frequencyPenalty: 0, presencePenalty: 0 } as const;

const WAYS: Readonly<Record<string, Partial<SamplerOptions>>> = {
  'the defaults': {},
  greedy: { ...OFF, temperature: 0 },
  'greedy with penalties': { temperature: 0, repeatPenalty: 1.7 },
  'temperature alone': { ...OFF, temperature: 1 },
  'a high temperature': { ...OFF, temperature: 3, topK: 1000 },
  'top-k': { ...OFF, temperature: 1, topK: 3 },
  'top-p': { ...OFF, temperature: 1, topP: 0.4 },
  'top-p of nothing': { ...OFF, temperature: 1, topP: 0 },
  'min-p': { ...OFF, temperature: 1.5, minP: 0.2 },
  'all penalties': { temperature: 1, repeatPenalty: 1.3, frequencyPenalty: 0.4, presencePenalty: 0.7, repeatLastN: 40 },
  rewards: { temperature: 0.7, repeatPenalty: 0.6, frequencyPenalty: -0.2, presencePenalty: -0.3 },
};

/** @param open another one, which the caller disposes */
export function drawingTests(backend: () => Backend, open: () => Backend | Promise<Backend>): void {
  describe('tokens that the device draws', () => {
    it.each(Object.entries(WAYS))('are the sampler’s: %s', async (_, options) => {
      const drawing = new Drawing(backend());
      for (let seed = 1; seed <= 24; seed++) {
        const output = candidatesOf(seed, [MOST, 255, 40, 3, 1][seed % 5], seed % 2 === 0 ? 8 : 2);
        const random = seededRandom(100 + seed);
        // Some of the candidates, some of them more than once, and others.
        const history = Array.from({ length: 64 }, () =>
          random() < 0.5 ? output.tokens[Math.floor(random() * Math.min(8, output.tokens.length))] : seed,
        );
        const sampler = new Sampler(samplerOptions({ ...options, seed }));
        const drawn = await drawing.draw(output, sampler, history);
        const { token } = sampler.choose(output, history);
        expect(drawn, `seed ${seed}`).toEqual([token, token]);
      }
    });

    it('are the lower of two that are equal, and always ones that there are', async () => {
      const drawing = new Drawing(backend());
      const greedy = new Sampler(samplerOptions({ ...OFF, temperature: 0 }));
      const tied = { ...candidatesOf(1, 3, 1), tokens: Uint32Array.of(5, 6, 7), logits: Float32Array.of(2, 2, 1) };
      expect(await drawing.draw(tied, greedy, [])).toEqual([5, 5]);
      const last = { ...tied, tokens: Uint32Array.of(VOCABULARY + 3, 6, 7) };
      expect(await drawing.draw(last, greedy, [])).toEqual([VOCABULARY - 1, VOCABULARY - 1]);
    });

    it('are their own passes’ where many are under way, of two lists', async () => {
      const drawings = [new Drawing(backend()), new Drawing(backend())];
      const outputs = drawings.map((_, i) => candidatesOf(i + 1, MOST, 2));
      drawings.forEach((drawing, i) => {
        drawing.fill(outputs[i]);
      });
      const passes: { wanted: number; pass: DrawnPass }[] = [];
      for (let i = 0; i < 50; i++) {
        const sampler = new Sampler(samplerOptions({ ...OFF, temperature: 1, seed: i }));
        const pass = await drawings[i % 2].submit(sampler, []);
        passes.push({ wanted: sampler.choose(outputs[i % 2], []).token, pass });
      }
      const drawn = passes.map(async ({ pass }) => readOutputs(await pass.candidates, 1, MOST)[0].drawn);
      expect(await Promise.all(drawn)).toEqual(passes.map(({ wanted }) => wanted));
      await backend().wait(passes.at(-1)!.pass.fence);
    });

    it('end with the backend, whether somebody waits for them or not', async () => {
      const own = await open();
      const drawing = new Drawing(own);
      drawing.fill(candidatesOf(1, 3, 1));
      const sampler = new Sampler(samplerOptions({ ...OFF, temperature: 0 }));
      const [first, second] = [await drawing.submit(sampler, []), await drawing.submit(sampler, [])];
      const ends = Promise.allSettled([first.candidates, second.candidates, own.wait(second.fence)]);
      await own.dispose();
      for (const end of await ends) {
        if (end.status === 'rejected') expect(end.reason).toBeInstanceOf(NtxError);
      }
      expect(() => new Drawing(own)).toThrow();
    });
  });
}
