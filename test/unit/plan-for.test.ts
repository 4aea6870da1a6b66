import { beforeAll, describe, expect, test } from 'vitest';
import { cpuAloneSeconds } from '../../src/placement/cpu-alone.js';
import { explain } from '../../src/placement/explain.js';
import type { Machine } from '../../src/placement/machine.js';
import { readMachine } from '../../src/placement/machine-json.js';
import {
  type Memories,
  memoriesHere,
  memoriesOf,
  type Placement,
  type PlacementOptions,
  planFor,
} from '../../src/placement/plan-for.js';
import { freeBytes } from '../../src/placement/wire.js';
import { shapeModel } from '../../src/synth/shape-model.js';

const GIB = 2 ** 30;
const SIZES = { maxRows: 512, maxOutputs: 8, slots: 1, context: 4096 };
const { gguf, model } = shapeModel('llama-8b', 'Q4_K');

let h100: Machine;
beforeAll(async () => {
  h100 = await readMachine('h100-80gb');
});

const plan = (machine: Machine, options: Partial<PlacementOptions> = {}) =>
  planFor(gguf, model, machine, { sizes: SIZES, memories: memoriesOf(machine), ...options });

/** The machine with another device. */
const withDevice = (changes: Partial<Machine['device']>): Machine => ({
  ...h100,
  device: { ...h100.device, ...changes },
});

describe('budgets of a plan', () => {
  test('of a discrete device are its own and those of RAM', () => {
    const { budgets, answer } = plan(h100);
    expect([budgets.device?.bytes, budgets.host.bytes]).toEqual([79.5 * GIB, 126 * GIB]);
    expect(answer.fitsDevice).toBe(true);
  });

  test('follow what is asked for, and the plan stays within them', () => {
    const { budgets, answer, request } = plan(h100, { vram: { bytes: 3 * GIB }, ram: { share: 0.25 } });
    expect([budgets.device?.bytes, budgets.host.bytes]).toEqual([3 * GIB, 32 * GIB]);
    expect(answer.fitsDevice).toBe(false);
    const residents = request.device!.residents.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(answer.use.device + answer.use.slots + residents).toBeLessThanOrEqual(3 * GIB);
  });

  test('what RAM has room for is not read from disk, however noisy the link was while it was measured', () => {
    const { link } = h100;
    const rate = (factor: number) => factor * link!.copies.at(-1)!.rate;
    const copies = [1, 1.02, 1, 0.98].map((factor, i) => ({ bytes: 2 ** (20 + 3 * i), rate: rate(factor) }));
    for (const gibibytes of [1.5, 3]) {
      const options = { vram: { bytes: gibibytes * GIB }, pure: 'host-copy' } as const;
      const { tiers } = plan({ ...h100, link: { ...link!, copies } }, options).answer.plan;
      expect(tiers).toContain('host-copy');
      expect(tiers).not.toContain('disk');
    }
  });

  test('what takes no longer from RAM is not read from disk, where computing takes so long that either would do', () => {
    const rates = h100.device.products.Q4_K!.map(({ rows, rate }) => ({ rows, rate: rate / 300 }));
    const slow = withDevice({ products: { Q4_K: rates, Q6_K: rates } });
    const options = { vram: { bytes: 2 * GIB }, pure: 'host-copy' } as const;
    expect(plan(slow, options).answer.plan.tiers).not.toContain('disk');
    const { answer, budgets } = plan(slow, { ...options, ram: { bytes: 1.5 * GIB } });
    expect(answer.plan.tiers).toContain('disk');
    expect(answer.use.host + answer.use.staging).toBeGreaterThan(0.6 * budgets.host.bytes);
  });

  test('without the CPU nothing is computed there, which takes longer', () => {
    const vram = { bytes: 3 * GIB };
    const [free, streamed] = [true, false].map((cpuComputes) => plan(h100, { vram, cpuComputes }).answer);
    expect(free.plan.tiers).toContain('host-compute');
    expect(streamed.plan.tiers).not.toContain('host-compute');
    const seconds = ({ plan: { schedules } }: typeof free) => schedules[0].prediction.seconds;
    expect(seconds(streamed)).toBeGreaterThan(seconds(free));
  });

  test('of a device that shares RAM are parts of it', () => {
    const { budgets } = plan(withDevice({ kind: 'integrated-gpu', backend: 'webgpu' }));
    expect(budgets.device!.bytes + budgets.host.bytes).toBe(126 * GIB);
    expect(budgets.device!.bytes).toBeGreaterThan(budgets.host.bytes);
  });

  test('have to be said for a device that does not', () => {
    const silent = withDevice({ memoryBytes: null, backend: 'webgpu' });
    expect(() => plan(silent)).toThrow(/does not say how much memory it has/);
    expect(plan(silent, { vram: { bytes: 16 * GIB } }).answer.fitsDevice).toBe(true);
  });

  test('where the host is the device there is no VRAM', () => {
    const cpu = { ...withDevice({ backend: 'cpu', kind: 'cpu', hostIsDevice: true }), link: null };
    const { budgets, answer } = plan(cpu);
    expect([budgets.device, answer.fitsDevice]).toEqual([null, true]);
    expect(() => plan(cpu, { vram: { bytes: GIB } })).toThrow(/--vram: the cpu backend computes in RAM/);
  });

  test('that do not hold what is always there are refused with what would work', () => {
    expect(() => plan(h100, { vram: { bytes: 0 } })).toThrow(
      expect.objectContaining({ code: 'no-memory', message: expect.stringMatching(/VRAM/) }),
    );
    expect(() => plan(h100, { ram: { bytes: 0 } })).toThrow(
      expect.objectContaining({ code: 'no-memory', message: expect.stringMatching(/RAM/) }),
    );
  });
});

describe('room for the passes', () => {
  const residents = ({ request }: Placement, side: 'device' | 'host') =>
    Object.fromEntries(request[side]!.residents.map(({ name, bytes }) => [name, bytes]));

  const large = shapeModel('llama-70b', 'Q4_K_M');
  const planLarge = (options: Partial<PlacementOptions>, machine = h100) =>
    planFor(large.gguf, large.model, machine, { sizes: SIZES, memories: memoriesOf(machine), ...options });

  /** What weights, slots, staging and all that is always there leave of the budgets. */
  function left({ request, answer: { use } }: Placement): { device: number; host: number } {
    return {
      device: freeBytes(request.device!) - use.device - use.slots,
      host: freeBytes(request.host) - use.host - use.staging,
    };
  }

  test('is for one recording where all fits, and for those of every class where they differ', () => {
    const one = residents(planLarge({ vram: { bytes: 60 * GIB } }), 'device').scratch;
    expect(one).toBeGreaterThan(0);
    const mixed = planLarge({ vram: { bytes: 16 * GIB } });
    expect(new Set(mixed.answer.plan.schedules.map(({ onCpu }) => onCpu.length)).size).toBe(4);
    expect(residents(mixed, 'device').scratch).toBe(4 * one);
    // More rows, more of it.
    const sizes = { ...SIZES, maxRows: 2048 };
    expect(residents(planLarge({ vram: { bytes: 60 * GIB }, sizes }), 'device').scratch).toBeGreaterThan(2 * one);
  });

  test('is in RAM for what the CPU computes with', () => {
    const ofCpu = (placement: Placement) => residents(placement, 'host')['activations of the CPU'];
    expect(ofCpu(planLarge({ vram: { bytes: 60 * GIB } }))).toBeUndefined();
    const few = ofCpu(planLarge({ vram: { bytes: 16 * GIB } }));
    const every = ofCpu(planLarge({ vram: { bytes: 16 * GIB } }, withDevice({ sharesPages: false })));
    // The hidden states, what a norm and the gated product make of them, for each of 512 rows.
    expect(every).toBeGreaterThan(512 * (2 * 8192 + 28_672) * 4);
    expect(few).toBeLessThan(every / 4);
  });

  test('is within budgets of every size', () => {
    let planned = 0;
    for (const vram of [1.3, 3.01, 4.2]) {
      for (const ram of [0.9, 1.5, 3.7]) {
        for (const sharesPages of [true, false]) {
          const bytes = { vram: { bytes: vram * GIB }, ram: { bytes: ram * GIB } };
          try {
            const placement = plan(withDevice({ sharesPages }), bytes);
            planned++;
            expect(Math.min(...Object.values(left(placement)))).toBeGreaterThanOrEqual(0);
          } catch (error) {
            expect(error).toMatchObject({ code: 'no-memory' });
          }
        }
      }
    }
    expect(planned).toBeGreaterThan(9);
  });
});

test('what fits into a slow device is there, and nothing is left to the CPU', () => {
  const products = { Q4_K: [{ rows: 1, rate: 1e9 }] };
  const slow = withDevice({ kind: 'integrated-gpu', backend: 'webgpu', products, sharesPages: false });
  expect(plan(slow, { vram: { bytes: 8 * GIB } }).answer.fitsDevice).toBe(true);
  const some = plan(slow, { vram: { bytes: 2 * GIB } });
  expect(some.answer.plan.tiers).toContain('host-compute');
});

test('of this machine memory is looked at', async () => {
  const device = { backend: 'cpu', name: 'a', kind: 'cpu', memoryBytes: 1, hostIsDevice: true } as const;
  const memories: Memories = await memoriesHere({ device });
  expect(memories.device).toBeNull();
  expect(memories.host.freeBytes).toBeGreaterThan(0);
});

test('beside a device slower than the processor the plan says so, beside a fast one it does not', () => {
  const products = { Q4_K: [{ rows: 1, rate: 1e9 }] };
  const slow = withDevice({ kind: 'software-gpu', backend: 'webgpu', products, sharesPages: false });
  const sentence = (machine: Machine) => {
    const options = { sizes: SIZES, memories: memoriesOf(machine) };
    const alone = cpuAloneSeconds(gguf, model, machine, options);
    const explained = explain(model, machine, options, plan(machine), alone);
    expect(explained.refused.at(-1)?.kind).toBe('cpu-alone');
    expect(explained.refused.at(-1)?.tokensPerSecond).toBeCloseTo(1 / alone![0]);
    return explained.sentence;
  };
  expect(sentence(slow)).toMatch(/the CPU alone would be faster: --backend cpu$/);
  expect(sentence(h100)).not.toMatch(/CPU alone/);
  expect(
    cpuAloneSeconds(
      gguf,
      model,
      { ...h100, host: { ...h100.host, products: [] } },
      { sizes: SIZES, memories: memoriesOf(h100) },
    ),
  ).toBeNull();
});
