// Random machines, budgets and shapes, extreme ones among them: a plan within its budgets, or a sentence.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NtxError } from '../../src/errors.js';
import { explain } from '../../src/placement/explain.js';
import type { Machine } from '../../src/placement/machine.js';
import { parseMachine, readMachine } from '../../src/placement/machine-json.js';
import { memoriesOf, type Placement, planFor } from '../../src/placement/plan-for.js';
import { freeBytes } from '../../src/placement/wire.js';
import { shapeModel } from '../../src/synth/shape-model.js';

const h100 = await readMachine('h100-80gb');

/** Evenly over the powers between, and sometimes one of the ends. */
const between = (least: number, most: number) =>
  fc.oneof(
    { weight: 9, arbitrary: fc.nat(1 << 20).map((step) => least * (most / least) ** (step / (1 << 20))) },
    { weight: 1, arbitrary: fc.constantFrom(least, most) },
  );
const whole = (least: number, most: number) => between(least, most).map(Math.floor);
const rate = between(1, 1e16);
const seconds = fc.oneof(fc.constant(0), between(1e-9, 1000));
const bytes = fc.oneof({ weight: 4, arbitrary: whole(2 ** 31, 2 ** 60) }, whole(1, 2 ** 31));
const products = fc.record({ Q4_K: fc.tuple(rate, rate).map(([one, many]) => [point(1, one), point(16, many)]) });
const point = (rows: number, each: number) => ({ rows, rate: each });

const machines: fc.Arbitrary<Machine> = fc
  .record({
    device: fc.record({
      ...{ backend: fc.constantFrom('cuda', 'webgpu'), kind: fc.constantFrom('discrete-gpu', 'integrated-gpu') },
      ...{ memoryBytes: bytes, copiesOverlapKernels: fc.boolean(), sharesPages: fc.boolean() },
      ...{ readRate: rate, launchSeconds: seconds, passSeconds: seconds, products },
    }),
    host: fc.record({ cores: whole(1, 65_536), memoryBytes: bytes, readRate: rate }),
    cpu: products,
    copies: rate.map((each) => [{ bytes: 1, rate: each }]),
    handOverSeconds: seconds,
    disks: fc.array(fc.record({ rate, requestSeconds: seconds }), { minLength: 1, maxLength: 12 }),
    onDevice: fc.boolean(),
  })
  .map(({ device, host, cpu, copies, handOverSeconds, disks, onDevice }) => ({
    ...h100,
    device: { ...h100.device, ...device, ...(onDevice && { backend: 'cpu', hostIsDevice: true }) },
    link: onDevice ? null : { ...h100.link, copies, writeCombined: null, handOverSeconds },
    host: { ...h100.host, ...host, withLink: null, products: [{ threads: 1, products: cpu }] },
    disks: disks.map((disk) => ({ ...h100.disks[0], ...disk })),
  }))
  // What may be described is what is planned for.
  .map((machine) => parseMachine(JSON.stringify(machine), 'random'));

/** The files of a model, cut between two tensors, on drives of their own. */
function cutFiles({ gguf, model }: ReturnType<typeof shapeModel>, first: number): typeof gguf {
  const [file] = gguf.files;
  for (const tensor of model.units.slice(first).flatMap((unit) => unit.tensors)) Object.assign(tensor, { file: 1 });
  return { ...gguf, files: [file, { ...file, path: 'second' }] };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function checkBudgets({ request, answer, budgets }: Placement): void {
  const { tiers, slots, staging, schedules } = answer.plan;
  const inTiers = (...names: string[]) =>
    sum(request.units.map((unit, i) => (names.includes(tiers[i]) ? unit.bytes : 0)));
  const { device, host } = request;
  expect(host.bytes).toBe(budgets.host.bytes);
  if (device) expect(inTiers('device') + sum(slots)).toBeLessThanOrEqual(freeBytes(device));
  const onHost = device ? inTiers('host-copy', 'host-compute') : inTiers('device');
  expect(onHost + sum(staging)).toBeLessThanOrEqual(freeBytes(host));
  for (const { prediction } of schedules) {
    const { seconds: pass, busy } = prediction;
    for (const each of Object.values(busy)) expect(each).toBeLessThanOrEqual(pass * (1 + 1e-6) + 1e-9);
  }
}

test('a plan is within its budgets and can be explained, or a sentence says why there is none', () => {
  // Of the file and of what buffers of the usual context take.
  const budget = fc.option(fc.oneof({ weight: 9, arbitrary: between(0.1, 2) }, fc.constant(0)), { nil: undefined });
  let planned = 0;
  const property = fc.property(
    machines,
    fc.constantFrom('tiny-llama', 'tiny-qwen3', 'smollm2-135m', 'llama-1b'),
    fc.constantFrom('Q4_K_M', 'Q8_0', 'Q2_K', 'F16'),
    fc.record({ context: whole(1, 2 ** 13), rows: whole(1, 64), maxRows: whole(1, 512), first: fc.nat(5) }),
    fc.tuple(budget, budget),
    (machine, shape, type, { context, rows, maxRows, first }, shares) => {
      const own = shapeModel(shape, type, 4);
      const gguf = cutFiles(own, first);
      const all = gguf.files[0].bytes + 2 ** 26;
      const [vram, ram] = shares.map((share) => (share === undefined ? share : { bytes: Math.floor(share * all) }));
      const sizes = { context, maxRows: Math.min(context, maxRows), maxOutputs: rows, slots: 1 };
      const options = { sizes, memories: memoriesOf(machine), vram, ram, rows, disks: [0, machine.disks.length - 1] };
      try {
        const placement = planFor(gguf, own.model, machine, options);
        checkBudgets(placement);
        expect(JSON.stringify(explain(own.model, machine, options, placement))).not.toMatch(/NaN|Infinity|null,"res/);
        planned++;
      } catch (error) {
        if (!(error instanceof NtxError)) throw error;
        expect(error.code, error.message).toMatch(/^(no-memory|bad-argument)$/);
        expect(error.message + error.advice).not.toMatch(/NaN|Infinity|undefined/);
      }
    },
  );
  fc.assert(property, { numRuns: 120, endOnFailure: true });
  expect(planned).toBeGreaterThan(5);
}, 60_000);
