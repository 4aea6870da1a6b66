// A device that nobody asked for is left where the processor alone is faster. How fast either is, is told: not measured here.
import { beforeEach, expect, test, vi } from 'vitest';
import type * as backends from '../../src/backend/index.js';
import { loadModel } from '../../src/index.js';
import type { Machine } from '../../src/placement/machine.js';
import type * as machines from '../../src/placement/machine-for.js';
import { readMachine } from '../../src/placement/machine-json.js';
import { openTestDevice, SKIP_WEBGPU } from '../webgpu-device.js';
import { FABLE } from './files.js';

// Software adapters are taken only when they are asked for: here the test's device stands for one that is not software.
vi.mock('../../src/backend/index.js', async (original) => {
  const { createBackend, ...others } = await original<typeof backends>();
  const first = (options: backends.BackendOptions = {}) =>
    options.backend === 'cpu' ? createBackend(options) : openTestDevice();
  return { ...others, createBackend: first };
});

const told = vi.hoisted(() => ({ machine: null as Machine | null }));
vi.mock('../../src/placement/machine-for.js', async (original) => ({
  ...(await original<typeof machines>()),
  machineFor: ({ files = [] }: machines.MachineOptions) =>
    Promise.resolve({ machine: told.machine!, disks: files.map(() => 0), path: null }),
}));

/** What does not fit into 16 MiB of the device crosses its link, or is computed by the processor. */
const OPTIONS = { vram: '16MiB', context: 128, maxRows: 16 };
const reasons: string[] = [];
const onBackend = (reason: string) => void reasons.push(reason);
beforeEach(() => void reasons.splice(0));

const h100 = await readMachine('h100-80gb');
const GB = 1e9;

/** A processor that reads 20 GB/s, and a device whose memory reads so much. */
function machineWith(readRate: number): Machine {
  const scaled = (products: Machine['device']['products'], factor: number) =>
    Object.fromEntries(
      Object.entries(products).map(([type, rates]) => [
        type,
        rates.map(({ rows, rate }) => ({ rows, rate: rate * factor })),
      ]),
    );
  const { device, host, link } = h100;
  const linkRate = readRate / 4;
  const cpu = 20 * GB;
  return {
    ...h100,
    device: {
      ...device,
      ...{ backend: 'webgpu', name: 'told', copiesOverlapKernels: false, sharesPages: false },
      ...{ readRate, products: scaled(device.products, readRate / device.readRate) },
    },
    link: { ...link!, copies: [{ bytes: 2 ** 20, rate: linkRate }], writeCombined: null },
    host: {
      ...host,
      readRate: cpu,
      withLink: { readRate: cpu / 2, linkRate: linkRate / 2 },
      products: host.products.map(({ threads, products }) => ({
        threads,
        products: scaled(products, cpu / host.readRate),
      })),
    },
  };
}

test.skipIf(SKIP_WEBGPU)(
  'what does not fit into a slow device runs on the processor, and a sentence says so',
  async () => {
    told.machine = machineWith(5 * GB);
    const model = await loadModel(FABLE, { ...OPTIONS, onBackend });
    expect(model.device.backend).toBe('cpu');
    expect(reasons).toEqual([
      expect.stringMatching(/^the processor computes: .+ would be slower with what does not fit into it$/),
    ]);
    await model.dispose();
    // Whoever names the backend gets it.
    const asked = await loadModel(FABLE, { ...OPTIONS, onBackend, backend: 'webgpu' });
    expect(asked.device.backend).toBe('webgpu');
    expect(reasons).toHaveLength(1);
    await asked.dispose();
  },
);

test.skipIf(SKIP_WEBGPU)('a fast device keeps what it has no room for', async () => {
  told.machine = machineWith(400 * GB);
  const model = await loadModel(FABLE, { ...OPTIONS, onBackend });
  expect([model.device.backend, reasons]).toEqual(['webgpu', []]);
  expect(model.chosen).not.toBeNull();
  await model.dispose();
});
