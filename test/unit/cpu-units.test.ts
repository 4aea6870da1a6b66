// Units that the CPU computes beside a device: the reference backend as both, where every bit can be compared.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import type { Output } from '../../src/backend/outputs.js';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { openModel } from '../../src/index.js';
import { createForward } from '../../src/load-forward.js';
import type { OpenedModel } from '../../src/open-model.js';
import type { CpuSpan } from '../../src/streaming/cpu-units.js';
import type { ExecutablePlan } from '../../src/streaming/recording.js';
import { STORIES } from '../model/files.js';
import { runBatches, SIZES } from '../streaming/invariance.js';
import { type PlanChoice, planOf } from '../streaming/plans.js';
import { TestReader } from '../streaming/test-reader.js';

const BATCHES = [
  [4, 2],
  [1, 1],
] as const;

/** Attention of every layer in slots, feed-forward units on the CPU, but for the last: it is read from disk. */
const MIXED: PlanChoice = {
  tiers: [1, 3, 0, 3, 2],
  slots: 2,
  staging: 2,
  turns: [0, 1],
  alignment: 512,
  inPlace: false,
};

let opened: OpenedModel;
let device: Backend;
let wanted: Output[][];

beforeAll(async () => {
  opened = await openModel(STORIES);
  device = createReferenceBackend();
  const resident = await createForward(opened, device, SIZES);
  wanted = await runBatches(resident, BATCHES);
  await resident.free();
});

afterAll(() => device?.dispose());

const load = (choice: Partial<PlanChoice>, createCpu: () => Backend = createReferenceBackend) =>
  createForward(opened, device, SIZES, { plan: planOf(opened, { ...MIXED, ...choice }), createCpu });

/** A CPU that tells what it is asked for. */
function watched(onSubmit: () => unknown): Backend {
  const cpu = createReferenceBackend();
  const submit = cpu.submit.bind(cpu);
  cpu.submit = (...args) => {
    onSubmit();
    return submit(...args);
  };
  return cpu;
}

describe('units on the CPU', () => {
  test.each([
    ['in every pass', [[true, true]]],
    ['in passes of one row, and copied out of the same memory in others', [[true, false]]],
    [
      'some in these passes, some in those',
      [
        [true, false],
        [false, true],
        [true, true],
      ],
    ],
  ] as const)('compute the same bits %s', async (_, onCpu) => {
    let submits = 0;
    const loaded = await load({ onCpu }, () => watched(() => submits++));
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    await loaded.free();
    expect(submits).toBeGreaterThan(BATCHES.length);
  });

  test('are computed once a pass each, and nothing of them is on the device', async () => {
    let submits = 0;
    const loaded = await load({ tiers: [0, 3] }, () => watched(() => submits++));
    const onDevice = await createForward(opened, device, SIZES);
    expect(loaded.memory.weights).toBeGreaterThanOrEqual(onDevice.memory.weights);
    await onDevice.free();
    await runBatches(loaded, BATCHES);
    await loaded.free();
    expect(submits).toBe(2 * BATCHES.length * opened.model.config.layers);
  });

  test('end a pass that is cancelled meanwhile, and the next is right', async () => {
    const abort = new AbortController();
    let submits = 0;
    const loaded = await load({}, () => watched(() => ++submits === 2 && abort.abort()));
    loaded.forward.step.clear();
    loaded.forward.step.addOutput(loaded.forward.step.addRow(1, 0, 0));
    await expect(loaded.forward.pass(abort.signal)).rejects.toMatchObject({ code: 'cancelled' });
    expect(submits).toBe(2);
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    await loaded.free();
  });

  test('end with the model that is disposed in the middle of one', async () => {
    const freed: Promise<void>[] = [];
    const loaded: Awaited<ReturnType<typeof load>> = await load({}, () =>
      watched(() => freed.length === 0 && freed.push(loaded.free())),
    );
    await expect(runBatches(loaded, BATCHES)).rejects.toMatchObject({ code: 'cancelled' });
    await Promise.all(freed);
  });

  test('fail with what the CPU fails with', async () => {
    const loaded = await load({}, () =>
      watched(() => {
        throw new Error('no CPU today');
      }),
    );
    await expect(runBatches(loaded, BATCHES)).rejects.toThrow('no CPU today');
    await loaded.free();
  });

  test('do no harm to a pass whose read fails', async () => {
    const reader = new TestReader(opened.gguf.files.map(({ path }) => path));
    const plan = planOf(opened, MIXED);
    const loaded = await createForward(opened, device, SIZES, { plan, reader, createCpu: createReferenceBackend });
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    reader.disturb = (request) => {
      throw reader.failure(request);
    };
    await runBatches(loaded, BATCHES).catch(() => {});
    await expect(runBatches(loaded, BATCHES)).rejects.toMatchObject({ code: 'io' });
    reader.disturb = null;
    expect(await runBatches(loaded, BATCHES)).toEqual(wanted);
    await loaded.free();
  });

  test('leave nothing allocated where the CPU has no memory for them', async () => {
    let disposed = 0;
    const createCpu = () => {
      const cpu = createReferenceBackend();
      cpu.allocateHost = () => {
        throw new Error('no memory');
      };
      const dispose = cpu.dispose.bind(cpu);
      cpu.dispose = () => {
        disposed++;
        return dispose();
      };
      return cpu;
    };
    await expect(load({}, createCpu)).rejects.toThrow('no memory');
    expect(disposed).toBe(1);
  });

  test('leave no recording where there is no memory for another', async () => {
    const full = createReferenceBackend();
    const record = full.record.bind(full);
    const disposed: boolean[] = [];
    full.record = (...args) => {
      if (disposed.length > 0) throw new Error('no memory');
      const list = record(...args);
      const index = disposed.push(false) - 1;
      const dispose = list.dispose.bind(list);
      list.dispose = () => {
        disposed[index] = true;
        dispose();
      };
      return list;
    };
    const plan = planOf(opened, { ...MIXED, onCpu: [[true, false]] });
    const loading = createForward(opened, full, SIZES, { plan, createCpu: createReferenceBackend });
    await expect(loading).rejects.toThrow('no memory');
    expect(disposed).toEqual([true]);
    await full.dispose();
  });

  test('are told to whoever watches, with the bytes that they read', async () => {
    const loaded = await load({ tiers: [0, 3] });
    const seen: number[] = [];
    const spans: Promise<CpuSpan>[] = [];
    loaded.streamer.watcher = {
      read: () => {},
      copy: () => {},
      compute: () => {},
      cpu: (unit, span) => {
        spans.push(span);
        seen.push(unit);
      },
    };
    await runBatches(loaded, [[1, 0]]);
    for (const { began, ended } of await Promise.all(spans)) expect(ended).toBeGreaterThanOrEqual(began);
    await loaded.free();
    const feedForward = opened.model.units.flatMap((_, unit) => (unit % 2 === 1 ? unit : []));
    expect(seen).toEqual([...feedForward, ...feedForward]);
  });
});

describe('plans that cannot be run', () => {
  const changed = (change: (plan: ExecutablePlan) => ExecutablePlan) =>
    createForward(opened, device, SIZES, {
      plan: change(planOf(opened, { ...MIXED, tiers: [0, 3] })),
      createCpu: createReferenceBackend,
    });

  test('compute attention on the CPU', async () => {
    const plan = changed((given) => ({
      ...given,
      tiers: given.tiers.map((tier, unit) => (unit === 2 ? 'host-compute' : tier)),
      schedules: given.schedules.map((schedule) => ({ ...schedule, onCpu: [...schedule.onCpu, 2] })),
    }));
    await expect(plan).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('attention') });
  });

  test('compute what is on the device on the CPU', async () => {
    const plan = changed((given) => ({
      ...given,
      tiers: given.tiers.map((tier, unit) => (unit === 3 ? 'device' : tier)),
    }));
    await expect(plan).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('another tier') });
  });

  test('stream what only the CPU can read', async () => {
    const plan = planOf(opened, { ...MIXED, tiers: [0, 3], onCpu: [[true, false]] });
    const deaf = Object.assign(createReferenceBackend(), { registerHost: undefined }) as Backend;
    const loading = createForward(opened, deaf, SIZES, { plan, createCpu: createReferenceBackend });
    await expect(loading).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('only the CPU') });
    await deaf.dispose();
  });
});
