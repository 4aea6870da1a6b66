// When a model is planned for: where it does not fit into what there is, or into what the user says.
import { beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { Backend, DeviceInfo } from '../../src/backend/backend.js';
import { choosePlan } from '../../src/choose-plan.js';
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
  const device = { backend: 'webgpu', name: 'silent', kind, memoryBytes: 0, hostIsDevice: false } as const;
  const products = { Q4_K: [{ rows: 1, rate: 1e9 }] };
  told.machine = { ...h100, device: { ...h100.device, ...device, memoryBytes: null, sharesPages: false, products } };
  return (await choosePlan(opened, { device } as Backend, SIZES, { ...options, maxRows: 512 }, onlyFree)).plan;
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
