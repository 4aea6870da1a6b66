import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Output } from '../../src/backend/outputs.js';
import { MOST_RECENT } from '../../src/backend/sampling.js';
import { NtxError } from '../../src/errors.js';
import { Sampler, type SamplerOptions, samplerOptions } from '../../src/sampler/index.js';
import { seededRandom } from '../../src/sampler/random.js';

const OFF: SamplerOptions = {
  ...{ temperature: 1, topK: 0, topP: 1, minP: 0, repeatPenalty: 1, frequencyPenalty: 0, presencePenalty: 0 },
  ...{ repeatLastN: 64, seed: 1 },
};

/** An output over tokens 100, 101, ... with these logits, which must descend. */
function output(logits: readonly number[]): Output {
  return {
    logSumExp: Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)),
    targetLogit: 0,
    tokens: Uint32Array.from(logits, (_, i) => 100 + i),
    logits: Float32Array.from(logits),
  };
}

const ofProbabilities = (...probabilities: number[]) => output(probabilities.map(Math.log));

/** How often each token comes in `draws` choices, as shares. */
function shares(options: Partial<SamplerOptions>, from: Output, history: readonly number[] = [], draws = 20_000) {
  const sampler = new Sampler({ ...OFF, ...options });
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const { token } = sampler.choose(from, history);
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  return Array.from(from.tokens, (token) => (counts.get(token) ?? 0) / draws);
}

/** Four standard deviations of a share near one half, of 20,000 draws. */
const WITHIN = 0.0142;

function expectShares(actual: readonly number[], wanted: readonly number[]): void {
  expect(actual).toHaveLength(wanted.length);
  wanted.forEach((share, i) => {
    if (share === 0) expect(actual[i]).toBe(0);
    else expect(Math.abs(actual[i] - share)).toBeLessThan(WITHIN);
  });
}

describe('drawing', () => {
  test('follows the probabilities', () => expectShares(shares({}, ofProbabilities(0.6, 0.3, 0.1)), [0.6, 0.3, 0.1]));

  test('temperature sharpens: p^(1/T), and 0 takes the best', () => {
    const sum = 0.6 ** 2 + 0.3 ** 2 + 0.1 ** 2;
    expectShares(shares({ temperature: 0.5 }, ofProbabilities(0.6, 0.3, 0.1)), [0.36 / sum, 0.09 / sum, 0.01 / sum]);
    expectShares(shares({ temperature: 0 }, ofProbabilities(0.6, 0.3, 0.1)), [1, 0, 0]);
  });

  test('top-k keeps k', () => expectShares(shares({ topK: 2 }, ofProbabilities(0.6, 0.3, 0.1)), [2 / 3, 1 / 3, 0]));

  test('top-p keeps the fewest that reach it', () => {
    expectShares(shares({ topP: 0.5 }, ofProbabilities(0.6, 0.3, 0.1)), [1, 0, 0]);
    expectShares(shares({ topP: 0.7 }, ofProbabilities(0.6, 0.3, 0.1)), [2 / 3, 1 / 3, 0]);
    expectShares(shares({ topP: 0 }, ofProbabilities(0.6, 0.3, 0.1)), [1, 0, 0]);
  });

  test('min-p drops those below its share of the best', () => {
    expectShares(shares({ minP: 0.4 }, ofProbabilities(0.6, 0.3, 0.1)), [2 / 3, 1 / 3, 0]);
    expectShares(shares({ minP: 1 }, ofProbabilities(0.6, 0.3, 0.1)), [1, 0, 0]);
  });

  test("the log-probability is the model's own, whatever is cut", () => {
    const choice = new Sampler({ ...OFF, temperature: 0, repeatPenalty: 2 }).choose(ofProbabilities(0.5, 0.5), [100]);
    expect(choice.logProbability).toBeCloseTo(Math.log(0.5), 6);
  });

  test('logits far below zero and far above do not overflow', () => {
    expectShares(shares({}, output([800, 800])), [0.5, 0.5]);
    expectShares(shares({}, output([-800, -800])), [0.5, 0.5]);
  });
});

describe('penalties', () => {
  test('repeat divides positive logits and multiplies negative ones', () => {
    const from = output([2, 1.5, -1, -1.2]);
    const greedy = (history: number[], repeatPenalty: number) =>
      new Sampler({ ...OFF, temperature: 0, repeatPenalty }).choose(from, history).token;
    expect(greedy([100], 1.3)).toBe(100); // 1.54 > 1.5
    expect(greedy([100], 1.4)).toBe(101); // 1.43 < 1.5
    const negative = output([-1, -1.2]);
    expect(new Sampler({ ...OFF, temperature: 0, repeatPenalty: 1.3 }).choose(negative, [100]).token).toBe(101);
  });

  test('frequency counts, presence does not', () => {
    const from = output([2, 1.5]);
    const greedy = (options: Partial<SamplerOptions>, history: number[]) =>
      new Sampler({ ...OFF, temperature: 0, ...options }).choose(from, history).token;
    expect(greedy({ frequencyPenalty: 0.3 }, [100])).toBe(100);
    expect(greedy({ frequencyPenalty: 0.3 }, [100, 100])).toBe(101);
    expect(greedy({ presencePenalty: 0.3 }, [100, 100, 100])).toBe(100);
    expect(greedy({ presencePenalty: 0.6 }, [100])).toBe(101);
  });

  test('look back only so far', () => {
    const from = output([2, 1.5]);
    const greedy = (repeatLastN: number) =>
      new Sampler({ ...OFF, temperature: 0, presencePenalty: 1, repeatLastN }).choose(from, [100, 7, 7]).token;
    expect([0, 2, 3, -1].map(greedy)).toEqual([100, 100, 101, 101]);
  });
});

describe('seeds', () => {
  test('the same seed chooses the same, another does not', () => {
    const from = ofProbabilities(...Array.from({ length: 20 }, () => 0.05));
    const draw = (seed: number) => {
      const sampler = new Sampler({ ...OFF, seed });
      return Array.from({ length: 50 }, () => sampler.choose(from, []).token);
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });

  test('numbers are sfc32, computed here with big integers', () => {
    const mask = 0xffffffffn;
    for (const seed of [0, 1, 0xdeadbeef, 2 ** 32 - 1]) {
      let [a, b, c, counter] = [0x9e3779b9n, 0x243f6a88n, BigInt(seed), 1n];
      const next = () => {
        const sum = (a + b + counter) & mask;
        counter = (counter + 1n) & mask;
        a = b ^ (b >> 9n);
        b = (c + (c << 3n)) & mask;
        c = ((((c << 21n) | (c >> 11n)) & mask) + sum) & mask;
        return Number(sum) / 2 ** 32;
      };
      for (let i = 0; i < 15; i++) next();
      const random = seededRandom(seed);
      expect(Array.from({ length: 100 }, random)).toEqual(Array.from({ length: 100 }, next));
    }
  });

  test('numbers are even over [0, 1)', () => {
    const random = seededRandom(3);
    const bins = new Array(16).fill(0);
    for (let i = 0; i < 160_000; i++) bins[Math.floor(random() * 16)]++;
    // Chi-square with 15 degrees of freedom: above 50 once in 100,000.
    expect(bins.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(50);
  });
});

describe('options', () => {
  test('defaults fill in what is not given, or given as undefined', () => {
    const { seed, ...rest } = samplerOptions({ ...{ topK: undefined }, topP: 0.5 } as object);
    expect(rest).toMatchObject({ temperature: 0.8, topK: 40, topP: 0.5, repeatPenalty: 1.1 });
    expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
  });

  test.each([
    { temperature: -0.1 },
    { temperature: Number.NaN },
    { topK: 1.5 },
    { topK: -1 },
    { topP: 1.01 },
    { minP: -1 },
    { repeatPenalty: 0 },
    { repeatLastN: -2 },
    { seed: 2 ** 32 },
    { seed: 0.5 },
  ])('%o is refused by name', (given) => {
    const refused = () => samplerOptions(given);
    expect(refused).toThrow(NtxError);
    expect(refused).toThrow(new RegExp(`^${Object.keys(given)[0]}: expected`));
  });

  test('whatever the options, a candidate is chosen', () => {
    const options = fc.record({
      temperature: fc.oneof(fc.constant(0), fc.double({ min: 0.01, max: 100, noNaN: true })),
      topK: fc.nat(300),
      topP: fc.double({ min: 0, max: 1, noNaN: true }),
      minP: fc.double({ min: 0, max: 1, noNaN: true }),
      repeatPenalty: fc.double({ min: 0.01, max: 100, noNaN: true }),
      seed: fc.nat(),
    });
    const logits = fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 256 });
    fc.assert(
      fc.property(options, logits, fc.array(fc.integer({ min: 90, max: 400 })), (given, values, history) => {
        const from = output(values.sort((a, b) => b - a));
        const { token, logProbability } = new Sampler(samplerOptions(given)).choose(from, history);
        expect(from.tokens).toContain(token);
        expect(logProbability).toBeLessThanOrEqual(1e-3);
      }),
    );
  });
});

test('a device is told what the next choice will be made with', () => {
  const sampler = new Sampler({ ...OFF, repeatPenalty: 1.1, repeatLastN: 3 });
  const sampling = sampler.sampling([4, 5, 5, 6]);
  expect(sampling).toMatchObject({
    temperature: 1,
    repeatPenalty: 1.1,
    recent: new Map([
      [5, 2],
      [6, 1],
    ]),
  });
  // Asking changes nothing; choosing does.
  expect(sampler.sampling([])!.random).toBe(sampling!.random);
  sampler.choose(ofProbabilities(0.5, 0.5), []);
  expect(sampler.sampling([])!.random).not.toBe(sampling!.random);
  const many = Array.from({ length: MOST_RECENT + 1 }, (_, i) => i);
  const all = new Sampler({ ...OFF, presencePenalty: 1, repeatLastN: -1 });
  expect(all.sampling(many)).toBeNull();
  expect(all.sampling(many.slice(1))!.recent.size).toBe(MOST_RECENT);
  expect(new Sampler(OFF).sampling(many)!.recent.size).toBe(0);
});
