// Units on the CPU beside a device with other kernels: near the resident run, and the same bits wherever the other units are.
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import type { Output } from '../../src/backend/outputs.js';
import { createForward, type LoadedForward } from '../../src/load-forward.js';
import type { OpenedModel } from '../../src/open-model.js';
import { choices, runBatches, SIZES } from './invariance.js';
import { type PlanChoice, planOf } from './plans.js';

const BATCHES = [
  [5, 3],
  [1, 1],
  [0, 8],
  [2, 0],
] as const;

/**
 * Checks `runs` random sets of units on the CPU, each in two placements of the others and twice in one.
 * @param bound of the difference of logits
 */
export async function checkOnCpu(
  backend: Backend,
  opened: OpenedModel,
  createCpu: () => Backend,
  runs: number,
  bound: number,
): Promise<void> {
  const resident = await createForward(opened, backend, SIZES);
  const wanted = await runBatches(resident, BATCHES);
  await resident.free();
  const shares = backend.registerHost !== undefined;
  const load = (choice: PlanChoice) =>
    createForward(opened, backend, SIZES, { plan: planOf(opened, choice), createCpu });
  const property = fc.asyncProperty(choices(false, true), choices(false), fc.nat(1), async (first, other, odd) => {
    // Every second unit is a feed-forward unit.
    const cpu = first.tiers.map((tier) => (tier === 3 ? 3 : null));
    const placed = (tiers: readonly number[]) =>
      opened.model.units.map((_, i) => (i % 4 === 1 + 2 * odd ? 3 : (cpu[i % cpu.length] ?? tiers[i % tiers.length])));
    const onCpu = shares ? first.onCpu! : [[true, true] as const];
    const one = await load({ ...first, tiers: placed(first.tiers), onCpu });
    const results = await outputsOf(one, 2);
    expectNear(results[0], wanted, bound);
    expect(results[1]).toEqual(results[0]);
    const two = await load({ ...other, tiers: placed(other.tiers), onCpu });
    expect(await outputsOf(two, 1)).toEqual([results[0]]);
  });
  await fc.assert(property, { numRuns: runs });
}

async function outputsOf(loaded: LoadedForward, times: number): Promise<Output[][][]> {
  const results: Output[][][] = [];
  try {
    for (let i = 0; i < times; i++) results.push(await runBatches(loaded, BATCHES));
  } finally {
    await loaded.free();
  }
  return results;
}

/** Every logit that both list, and the first of each in the other. */
function expectNear(actual: readonly Output[][], wanted: readonly Output[][], bound: number): void {
  expect(actual.map((pass) => pass.length)).toEqual(wanted.map((pass) => pass.length));
  for (const [pass, outputs] of wanted.entries()) {
    for (const [i, { tokens, logits, logSumExp }] of outputs.entries()) {
      const known = new Map(Array.from(tokens, (token, k) => [token, logits[k]]));
      const own = actual[pass][i];
      expect(Math.abs(own.logSumExp - logSumExp)).toBeLessThanOrEqual(bound);
      const differences = Array.from(own.tokens, (token, k) =>
        Math.abs((known.get(token) ?? own.logits[k]) - own.logits[k]),
      );
      expect(Math.max(...differences)).toBeLessThanOrEqual(bound);
      expect(known.has(own.tokens[0])).toBe(true);
    }
  }
}
