// Law 2: whatever the placement, the bits are those of the resident run.
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import type { Output } from '../../src/backend/outputs.js';
import { createForward, type LoadedForward } from '../../src/load-forward.js';
import type { OpenedModel } from '../../src/open-model.js';
import { type PlanChoice, planOf } from './plans.js';
import { TestReader } from './test-reader.js';

export const SIZES = { maxRows: 24, maxOutputs: 3, slots: 2, context: 64 };

/** Rows of a pass: how many each of two sequences goes on by. */
export type Batch = readonly [number, number];

const batches = fc.array(
  fc.tuple(fc.nat(8), fc.nat(8)).filter(([a, b]) => a + b > 0),
  { minLength: 1, maxLength: 4 },
);

/** Plans that change nothing of who computes what; and where units compute on the CPU, in which schedules. */
export function choices(inPlace: boolean, onCpu = false): fc.Arbitrary<PlanChoice> {
  return fc.record({
    tiers: fc.array(fc.nat(onCpu ? 3 : 2), { minLength: 1, maxLength: 13 }),
    onCpu: fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 5 }),
    slots: fc.integer({ min: 1, max: 5 }),
    staging: fc.integer({ min: 1, max: 4 }),
    turns: fc.array(fc.nat(7), { minLength: 1, maxLength: 5 }),
    alignment: fc.constantFrom(32, 512, 4096),
    inPlace: inPlace ? fc.boolean() : fc.constant(false),
  });
}

/** Runs the batches, and a single row between them, from empty sequences. The outputs of every pass. */
export async function runBatches({ forward }: LoadedForward, wanted: readonly Batch[]): Promise<Output[][]> {
  const positions = [0, 0];
  const results: Output[][] = [];
  const pass = async (counts: readonly number[]) => {
    forward.step.clear();
    counts.forEach((count, slot) => {
      for (let i = 0; i < count; i++) {
        const row = forward.step.addRow((7 * positions[slot] + 31 * slot + 3) % 200, positions[slot]++, slot);
        if (i === count - 1) forward.step.addOutput(row);
      }
    });
    results.push(await forward.pass());
  };
  for (const [i, batch] of wanted.entries()) {
    await pass(batch);
    await pass(i % 2 === 0 ? [1, 0] : [0, 1]);
  }
  return results;
}

/**
 * Checks `runs` random placements and batches on a backend; each loads the model anew beside its resident copy.
 * @param createCpu makes what computes units on the CPU, by the same kernels; null: none are
 */
export async function checkInvariance(
  backend: Backend,
  opened: OpenedModel,
  runs: number,
  createCpu: (() => Backend) | null = null,
): Promise<void> {
  const resident = await createForward(opened, backend, SIZES);
  const plans = choices(backend.device.hostIsDevice, createCpu !== null);
  const property = fc.asyncProperty(plans, batches, fc.boolean(), async (...drawn) => {
    const [choice, wanted, testReader] = drawn;
    const plan = planOf(opened, backend.registerHost ? choice : { ...choice, onCpu: [[true, true]] });
    const paths = opened.gguf.files.map(({ path }) => path);
    const reader = testReader && plan.staging.length > 0 ? new TestReader(paths) : undefined;
    const loaded = await createForward(opened, backend, SIZES, { plan, reader, createCpu: createCpu ?? undefined });
    try {
      expect(await runBatches(loaded, wanted)).toEqual(await runBatches(resident, wanted));
    } finally {
      await loaded.free();
    }
  });
  await fc.assert(property, { numRuns: runs });
  await resident.free();
}
