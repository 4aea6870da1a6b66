// Model + machine + budgets to the planner's question: what each unit costs where, and what is always there.
import type { PassSizes } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { GgmlType, GgufModel } from '../gguf/types.js';
import { type BufferSpec, isFeedForward, type Model, type Unit } from '../model/index.js';
import { bufferBytes } from '../streaming/buffers.js';
import { pack } from '../streaming/layout.js';
import type { PassBytes } from '../streaming/pass-bytes.js';
import type { MemoryBudget } from './budget.js';
import type { CpuRates, DiskDescription, Machine, ProductRates } from './machine.js';
import { bestCopies, cpuRatesOf, pointsOf, productSeconds } from './rates.js';
import type { Drive, HostMemoryRates, Link, PlanRequest, PlanUnit, Resident, RowClass, UnitWork } from './request.js';

/** Classes up to this many rows are decodes of several sequences, with an output for each row; above are prompts, with one. */
const MOST_DECODE_ROWS = 16;
const DECODE_CLASSES = [1, 4, MOST_DECODE_ROWS];
/** Passes of the wanted class for every pass of another: an answer of 256 tokens for every prompt. */
const WANTED_WEIGHT = 256;
/** Positions that a row is taken to look back on, unless the context is shorter: the middle of an answer. */
const TYPICAL_POSITIONS = 512;
/** Rows that attention of prompts reads a key for at a time. */
const ATTENTION_TILE = 16;

export interface RequestOptions {
  readonly sizes: PassSizes;
  readonly budgets: { readonly device: MemoryBudget | null; readonly host: MemoryBudget };
  /** Rows of the passes that are to be fast: 1 for one user. */
  readonly rows: number;
  /** Index into machine.disks for each of the model's files; default: all on the first. */
  readonly disks?: readonly number[] | undefined;
  /** Whether the CPU may compute units whose bytes are in RAM (tier `host-compute`). Default true. */
  readonly cpuComputes?: boolean | undefined;
  /** Of the CPU's products. Default: all cores; all but one where a link is to be fed. */
  readonly threads?: number | undefined;
  /** Room that is left for the passes. Default: none. */
  readonly passes?: PassBytes | undefined;
}

/** Throws NtxError('bad-file') for a machine whose description has no rates for this model. */
export function buildRequest(gguf: GgufModel, model: Model, machine: Machine, options: RequestOptions): PlanRequest {
  const { sizes, budgets, rows } = options;
  const { hostIsDevice } = machine.device;
  const threads = options.threads ?? Math.max(1, machine.host.cores - (machine.link ? 1 : 0));
  const cpu = hostIsDevice || options.cpuComputes === false ? null : cpuRatesOf(machine, threads);
  const classes = rowClasses(model, machine, sizes, rows);
  const { onDevice, inHost } = residentsOf(model, sizes, options.passes);
  const disks = gguf.files.map((_, file) => options.disks?.[file] ?? 0);
  const used = [...new Set(disks)].sort((a, b) => a - b);
  return {
    units: model.units.map((unit) => unitOf(unit, model, machine, cpu, classes, sizes)),
    classes,
    files: gguf.files.map(({ bytes }, file) => ({ bytes, drive: used.indexOf(disks[file]) })),
    drives: drivesOf(machine, used),
    device: hostIsDevice ? null : { bytes: required(budgets.device).bytes, residents: onDevice },
    host: { bytes: budgets.host.bytes, residents: hostIsDevice ? [...onDevice, ...inHost] : inHost },
    link: linkOf(machine),
    hostMemory: hostMemoryOf(machine, cpu, typesOf(model)[0]),
    context: sizes.context,
  };
}

/** The types that a model's units have, those with most bytes first. */
export function typesOf(model: Model): GgmlType[] {
  const bytes = new Map<GgmlType, number>();
  for (const { tensors } of model.units) {
    for (const tensor of tensors) bytes.set(tensor.type, (bytes.get(tensor.type) ?? 0) + tensor.bytes);
  }
  return [...bytes].sort(([, a], [, b]) => b - a).map(([type]) => type);
}

function required(budget: MemoryBudget | null): MemoryBudget {
  if (budget) return budget;
  throw new NtxError('internal', 'a device without a budget', 'report this');
}

function classBounds({ maxRows }: PassSizes): number[] {
  return [...DECODE_CLASSES.filter((bound) => bound < maxRows), maxRows];
}

/** Classes of rows that passes of these sizes are planned for. */
export function classCount(sizes: PassSizes): number {
  return classBounds(sizes).length;
}

function rowClasses(model: Model, machine: Machine, sizes: PassSizes, rows: number): RowClass[] {
  const bounds = classBounds(sizes);
  const wanted = bounds.find((bound) => bound >= rows) ?? sizes.maxRows;
  return bounds.map((maxRows) => ({
    maxRows,
    weight: maxRows === wanted ? WANTED_WEIGHT : 1,
    overheadSeconds: machine.device.passSeconds,
    handOverSeconds: handOverSeconds(model, machine, maxRows),
  }));
}

/** Hidden states from the device to the CPU, which is woken for them, and back. */
function handOverSeconds(model: Model, { link }: Machine, rows: number): number {
  if (!link) return 0;
  const bytes = rows * model.config.width * 4;
  const { rate } = link.copies.find((copy) => copy.bytes >= bytes) ?? link.copies[link.copies.length - 1];
  return link.handOverSeconds + (2 * bytes) / rate;
}

function unitOf(
  unit: Unit,
  model: Model,
  machine: Machine,
  cpu: CpuRates | null,
  classes: readonly RowClass[],
  sizes: PassSizes,
): PlanUnit {
  const own = ownTensors(unit, model, machine.device.hostIsDevice);
  return {
    bytes: pack(own).bytes,
    ranges: own.map(({ file, offset, bytes }) => ({ file, offset, bytes })),
    work: classes.map(({ maxRows }) => workOf(unit, model, machine, cpu, maxRows, sizes)),
  };
}

/** Where the host is the device, a tied output head is the embedding, which is there anyway. */
function ownTensors({ tensors }: Unit, { embedding }: Model, hostIsDevice: boolean) {
  return tensors.filter(({ name }) => !hostIsDevice || name !== embedding.name);
}

/** Of all units, resident. */
export function unitBytes(model: Model, hostIsDevice: boolean): number {
  return model.units.reduce((sum, unit) => sum + pack(ownTensors(unit, model, hostIsDevice)).bytes, 0);
}

function workOf(
  unit: Unit,
  model: Model,
  { device }: Machine,
  cpu: CpuRates | null,
  rows: number,
  sizes: PassSizes,
): UnitWork {
  const selects = unit.ops.some((op) => op.kind === 'top-k');
  const productRows = !selects ? rows : rows > MOST_DECODE_ROWS ? 1 : Math.min(rows, sizes.maxOutputs);
  const products = productsSeconds(unit, device.products, productRows, device.name);
  const launches = unit.ops.length * device.launchSeconds;
  const attention = attentionSeconds(unit, model, device.readRate, rows, sizes.context);
  const onCpu = cpu && Object.keys(cpu.products).length > 0 && isFeedForward(unit);
  return {
    deviceSeconds: products + launches + attention,
    cpuSeconds: onCpu ? productsSeconds(unit, cpu.products, productRows, 'the processor') : null,
    // All ops of a feed-forward unit are the CPU's.
    deviceSecondsBesideCpu: 0,
  };
}

function productsSeconds(unit: Unit, products: ProductRates, rows: number, where: string): number {
  return unit.tensors.reduce((sum, { type, bytes }) => {
    const points = pointsOf(products, type);
    if (!points) throw noRates(where);
    return sum + productSeconds(points, bytes, rows);
  }, 0);
}

function noRates(where: string): NtxError {
  const advice = 'measure it ("ntx measure"), or describe the rate of a type';
  return new NtxError('bad-file', `the machine's description has no rates of products on ${where}`, advice);
}

/** Reading the keys and values of a typical position; rows of a prompt share what they read. */
function attentionSeconds(unit: Unit, model: Model, readRate: number, rows: number, context: number): number {
  const op = unit.ops.find((each) => each.kind === 'attention');
  if (op?.kind !== 'attention') return 0;
  const positions = Math.min(TYPICAL_POSITIONS, Math.ceil(context / 2), model.config.window || context);
  const bytes = positions * 2 * op.kvHeads * op.headDim * 2;
  const reads = rows > MOST_DECODE_ROWS ? Math.ceil(rows / ATTENTION_TILE) : rows;
  return (reads * bytes) / readRate;
}

/** What is always there, in VRAM and in RAM. */
export function residentsOf(model: Model, sizes: PassSizes, passes?: PassBytes) {
  const sum = (specs: readonly BufferSpec[]) => specs.reduce((bytes, spec) => bytes + bufferBytes(spec, sizes), 0);
  const perPosition = model.buffers.filter(({ per }) => per === 'position' || per === 'slot-position');
  const others = model.buffers.filter((spec) => !perPosition.includes(spec));
  const caches = sum(perPosition);
  const fixed = (name: string, bytes = 0): Resident[] => (bytes > 0 ? [{ name, bytes, bytesPerPosition: 0 }] : []);
  return {
    onDevice: [
      { name: 'the KV cache', bytes: caches, bytesPerPosition: caches / sizes.context },
      ...fixed('activations', sum(others)),
      ...fixed('norms and biases', pack(model.small).bytes),
      ...fixed('scratch', passes?.device),
    ],
    inHost: [
      ...fixed('the token embedding', model.embedding.bytes),
      ...fixed('scratch', passes?.host),
      ...fixed('activations of the CPU', passes?.cpu),
    ],
  };
}

/** The request with other room for the passes. */
export function withPasses(request: PlanRequest, model: Model, sizes: PassSizes, passes: PassBytes): PlanRequest {
  const { onDevice, inHost } = residentsOf(model, sizes, passes);
  const { device, host } = request;
  return {
    ...request,
    device: device && { ...device, residents: onDevice },
    host: { ...host, residents: device ? inHost : [...onDevice, ...inHost] },
  };
}

function linkOf(machine: Machine): Link | null {
  const best = bestCopies(machine);
  if (!machine.link || !best) return null;
  let fastest = 0;
  return {
    // A copy is as fast as a shorter one: where it was measured to be slower, that is noise. Plans would read units from drives for
    // it, since those are copied tensor by tensor.
    curve: best.copies.map(({ bytes, rate }) => {
      fastest = Math.max(fastest, rate);
      return { pieceBytes: bytes, bytesPerSecond: fastest };
    }),
    copySeconds: machine.link.copyAfterPassSeconds,
    overlapsKernels: machine.device.copiesOverlapKernels,
    sharesPages: machine.device.sharesPages,
  };
}

/** `type`: of most of the model's bytes. */
function hostMemoryOf({ host, link }: Machine, cpu: CpuRates | null, type: GgmlType): HostMemoryRates {
  const linkAlone = link?.copies[link.copies.length - 1].rate ?? 0;
  const { readRate, linkRate } = host.withLink ?? { readRate: host.readRate, linkRate: linkAlone || host.readRate };
  const cpuBesideLink = Math.min(host.readRate, readRate * likeness(host.withLink?.type, cpu, type));
  return {
    total: link ? Math.max(host.readRate, cpuBesideLink + linkRate) : host.readRate,
    cpuBesideLink,
    linkBesideCpu: linkRate,
  };
}

/** A type that the CPU gets through faster is taken to be so beside the link as well: kernels of some wait for no memory. */
function likeness(measured: GgmlType | undefined, cpu: CpuRates | null, type: GgmlType): number {
  if (measured === undefined || cpu === null) return 1;
  const [wanted, known] = [type, measured].map((each) => pointsOf(cpu.products, each)?.[0].rate);
  return wanted === undefined || known === undefined ? 1 : wanted / known;
}

/** MAX_DRIVES of planner/request.ts. */
const MOST_DRIVES = 8;

/** Those that the model lies on: a machine that has run many models knows many. */
function drivesOf({ name, disks }: Machine, used: readonly number[]): Drive[] {
  if (disks.length === 0) {
    throw new NtxError('bad-file', `the description of ${name} has no disk`, 'add one that the model lies on');
  }
  if (used.length > MOST_DRIVES) {
    const message = `the model's files lie on ${used.length} drives; expected at most ${MOST_DRIVES}`;
    throw new NtxError('unsupported', message, 'put them on fewer');
  }
  return used.map((disk) => driveOf(disks[disk]));
}

/** Of one read of a plan: the reader cuts it for the drive, and a unit is one read or a few. */
const MOST_READ_BYTES = 2 ** 30;

function driveOf({ rate, requestSeconds, depth, alignment }: DiskDescription): Drive {
  return {
    bytesPerSecond: rate,
    // Requests that are in flight together wait together.
    requestSeconds: requestSeconds / depth,
    latencySeconds: requestSeconds,
    queueDepth: depth,
    alignment,
    maxBytes: MOST_READ_BYTES,
  };
}
