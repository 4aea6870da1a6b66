import { describe, expect, test } from 'vitest';
import type { RopeConfig } from '../../src/model/config.js';
import { ropeFrequencies, ropeTable } from '../../src/model/rope.js';

const plain: RopeConfig = { base: 10000, dim: 8, scaling: { type: 'none' }, factors: null };

describe('rope', () => {
  test('frequencies are base^(-2i/dim)', () => {
    const { frequencies, magnitude } = ropeFrequencies(plain);
    expect(Array.from(frequencies)).toEqual([1, 0.1, 0.01, 0.001].map((value) => expect.closeTo(value, 12)));
    expect(magnitude).toBe(1);
  });

  test('the table holds cosine and sine of position * frequency, in f32 of the double', () => {
    const table = ropeTable(plain, 3000);
    expect(table).toHaveLength(3000 * 4 * 2);
    const at = (position: number, pair: number) => [...table.subarray((position * 4 + pair) * 2).subarray(0, 2)];
    expect(at(0, 2)).toEqual([1, 0]);
    expect(at(1, 0)).toEqual([Math.fround(Math.cos(1)), Math.fround(Math.sin(1))]);
    expect(at(2999, 1)).toEqual([Math.cos(299.9), Math.sin(299.9)].map((value) => expect.closeTo(value, 6)));
  });

  test('linear scaling divides positions', () => {
    const { frequencies } = ropeFrequencies({ ...plain, scaling: { type: 'linear', factor: 4 } });
    expect(frequencies[1]).toBeCloseTo(0.025, 12);
  });

  test('factors divide the frequency of each pair', () => {
    const { frequencies } = ropeFrequencies({ ...plain, factors: Float32Array.of(1, 2, 4, 8) });
    expect(Array.from(frequencies)).toEqual([1, 0.05, 0.0025, 0.000125].map((value) => expect.closeTo(value, 12)));
  });

  // By the formulas of transformers' _compute_yarn_parameters in Python, for dim 64, base 1e6, factor 4, original context
  // 32768, beta_fast 32, beta_slow 1: pairs up to 11 turn often, from 20 on seldom.
  test('YaRN keeps fast pairs, interpolates slow ones and ramps between', () => {
    const scaling = { type: 'yarn', factor: 4, originalContext: 32768, attentionFactor: 1 } as const;
    const { frequencies, magnitude } = ropeFrequencies({ ...plain, dim: 64, base: 1e6, scaling });
    expect(magnitude).toBeCloseTo(1.138629436111989, 12);
    const expected: Record<number, number> = {
      0: 1,
      11: 0.008659643233600653,
      12: 0.005154795480911533,
      15: 0.0010266176840396614,
      19: 9.128065447547873e-5,
      20: 4.445698525097307e-5,
      31: 3.84981631514873e-7,
    };
    for (const [pair, value] of Object.entries(expected)) expect(frequencies[Number(pair)] / value).toBeCloseTo(1, 9);
  });
});
