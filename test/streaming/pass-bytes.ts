// What passes of a plan take beside weights, slots and staging, against what the planner leaves room for.
import { expect } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { createForward } from '../../src/load-forward.js';
import type { OpenedModel } from '../../src/open-model.js';
import { bufferBytes } from '../../src/streaming/buffers.js';
import { pack } from '../../src/streaming/layout.js';
import { passBytes } from '../../src/streaming/pass-bytes.js';
import { smallOf } from '../../src/streaming/place.js';
import { type PlanChoice, planOf } from './plans.js';

const SIZES = { maxRows: 80, maxOutputs: 3, slots: 1, context: 256 };
const CHOICE: PlanChoice = { tiers: [0], slots: 2, staging: 2, turns: [0, 1], alignment: 512, inPlace: false };
/** Share of what is left room for that is taken: kernels differ a little from device to device. */
const TAKEN = 0.85;

/** Resident, streamed, and with units on the CPU: in passes of all rows, and of single ones where the device shares pages. */
export async function checkPassBytes(
  backend: Backend,
  opened: OpenedModel,
  createCpu: () => Backend,
  threads: number,
): Promise<void> {
  const { model } = opened;
  const shares = backend.registerHost !== undefined;
  const buffers = model.buffers.reduce((sum, spec) => sum + bufferBytes(spec, SIZES), 0);
  const choices: Partial<PlanChoice>[] = [{}, { tiers: [0, 1] }, { tiers: [0, 3] }];
  if (shares) choices.push({ tiers: [1, 3], onCpu: [[true, false]] });
  for (const choice of choices) {
    const plan = planOf(opened, { ...CHOICE, ...choice });
    const said = passBytes(backend.device.backend, model, plan, SIZES, threads);
    const loaded = await createForward(opened, backend, SIZES, { plan, createCpu });
    const taken = loaded.memory.buffers - buffers;
    await loaded.free();
    // Weights of the CPU, which are counted as such.
    const all = said.device + said.host + said.cpu - pack(smallOf(model, plan.tiers)).bytes;
    expect(taken).toBeLessThanOrEqual(all);
    expect(taken).toBeGreaterThanOrEqual(TAKEN * all);
  }
}
