// When a model is planned for: where it does not fit into what there is, or into what the user says.
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Backend, DeviceInfo } from '../../src/backend/backend.js';
import { choosePlan } from '../../src/choose-plan.js';
import { isTied } from '../../src/model/index.js';
import type { OpenedModel } from '../../src/open-model.js';
import type { Machine } from '../../src/placement/machine.js';
import type * as machines from '../../src/placement/machine-for.js';
import { readMachine } from '../../src/placement/machine-json.js';
import type * as plans from '../../src/placement/plan-for.js';
import { shapeModel } from '../../src/synth/shape-model.js';

const GIB = 2 ** 30;
const SIZES = { maxRows: 512, maxOutputs: 8, slots: 1, context: 4096 };

const told = vi.hoisted(() => ({ machine: null as Machine | null, measured: 0 }));
vi.mock('../../src/placement/machine-for.js', async (original) => ({
  ...(await original<typeof machines>()),
  machineFor: ({ files = [] }: machines.MachineOptions) => {
    told.measured++;
    return Promise.resolve({ machine: told.machine!, disks: files.map(() => 0), path: null });
  },
}));
vi.mock('../../src/placement/plan-for.js', async (original) => ({
  ...(await original<typeof plans>()),
  memoriesHere: () =>
    Promise.resolve({ device: null, host: { name: 'RAM', totalBytes: 24 * GIB, freeBytes: 20 * GIB } }),
}));

const { gguf, model } = shapeModel('llama-8b', 'Q4_K');
const opened = { gguf, model } as OpenedModel;
let h100: Machine;
beforeAll(async () => {
  h100 = await readMachine('h100-80gb');
});
beforeEach(() => {
  told.measured = 0;
});

/** What a WebGPU device that does not say how much memory it has gets, with a tenth of the processor's rate. */
async function choose(kind: DeviceInfo['kind'], options: { vram?: string; ram?: string }, onlyFree = false) {
  return (await chooseAll(opened, kind, options, onlyFree)).plan;
}

function chooseAll(
  opened: OpenedModel,
  kind: DeviceInfo['kind'],
  options: { vram?: string; ram?: string },
  onlyFree = false,
  tableBytes = 2 ** 32,
) {
  const device = { backend: 'webgpu', name: 'silent', kind, memoryBytes: 0, tableBytes, hostIsDevice: false } as const;
  const products = { Q4_K: [{ rows: 1, rate: 1e9 }] };
  told.machine = { ...h100, device: { ...h100.device, ...device, memoryBytes: null, sharesPages: false, products } };
  return choosePlan(opened, { device } as Backend, SIZES, { ...options, maxRows: 512 }, onlyFree);
}

test.each([
  'discrete-gpu',
  'integrated-gpu',
  'software-gpu',
] as const)('a silent %s gets all that fits into what the user says, however slow it is', async (kind) => {
  expect(await choose(kind, { vram: '6GiB' })).toBeNull();
  expect(told.measured).toBe(0);
  const chosen = await choose(kind, { vram: '2GiB' });
  expect(chosen!.placement.answer.plan.tiers).toContain('host-compute');
  expect(chosen!.placement.budgets.device!.bytes).toBe(2 * GIB);
});

test('a silent discrete device is tried where the user says nothing', async () => {
  expect(await choose('discrete-gpu', {})).toBeNull();
  // It had too little.
  await expect(choose('discrete-gpu', {}, true)).rejects.toMatchObject({
    code: 'no-memory',
    advice: expect.stringContaining('--vram'),
  });
});

test('of a device that shares RAM it is known what it has', async () => {
  expect(await choose('integrated-gpu', {})).toBeNull();
  expect((await choose('integrated-gpu', { vram: '10%' }))!.placement.answer.fitsDevice).toBe(false);
});

describe('the embedding on the device', () => {
  /** The least MiB of VRAM, in steps, with which a choice is so. */
  async function leastMiB(step: number, isSo: (vram: string) => Promise<boolean>): Promise<number> {
    let [below, enough] = [1024, 8192];
    while (enough - below > step) {
      const middle = (below + enough) / 2;
      if (await isSo(`${middle}MiB`)) enough = middle;
      else below = middle;
    }
    return enough;
  }

  test('has a place there where there is room for it beside all else', async () => {
    const all = await leastMiB(28, async (vram) => (await choose('software-gpu', { vram })) === null);
    const table = await leastMiB(28, async (vram) => (await chooseAll(opened, 'software-gpu', { vram })).tableFits);
    expect(Math.abs(table - all - model.embedding.bytes / 2 ** 20)).toBeLessThan(60);
    const most = (bytes: number) => chooseAll(opened, 'software-gpu', { vram: '8GiB' }, false, bytes);
    expect(await most(model.embedding.bytes)).toEqual({ plan: null, tableFits: true });
    expect(await most(model.embedding.bytes - 1)).toEqual({ plan: null, tableFits: false });
  });

  test('takes nothing more where the output head is the same', async () => {
    const tied = shapeModel('llama-1b', 'Q8_0');
    expect(isTied(tied.model)).toBe(true);
    const all = await leastMiB(
      28,
      async (vram) => (await chooseAll(tied as OpenedModel, 'software-gpu', { vram })).plan === null,
    );
    expect((await chooseAll(tied as OpenedModel, 'software-gpu', { vram: `${all}MiB` })).tableFits).toBe(true);
  });

  test('is not risked where nobody knows how much there is', async () => {
    expect(await chooseAll(opened, 'discrete-gpu', {})).toEqual({ plan: null, tableFits: false });
  });
});
