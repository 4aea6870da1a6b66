// From a model, a machine and wishes to a plan: budgets, the planner's question, its answer.
import type { Backend, PassSizes } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { GgufModel } from '../gguf/types.js';
import type { Model } from '../model/index.js';
import { type PassBytes, passBytes } from '../streaming/pass-bytes.js';
import { residentPlan } from '../streaming/recording.js';
import type { PlanAnswer } from './answer.js';
import { type BudgetWish, budgetOf, hostMemory, type MemoryBudget, type MemoryFacts } from './budget.js';
import { buildRequest, classCount, residentsOf, unitBytes, withPasses } from './build-request.js';
import { deviceMemory } from './device-memory.js';
import type { Machine } from './machine.js';
import { planModel } from './planner.js';
import type { PlanRequest, Resident } from './request.js';
import { freeBytes, type PlacementKind } from './wire.js';

/** Of a device that takes its memory out of RAM, unless the user says otherwise; the rest stays for the host. */
const SHARED_PART = 0.75;

export interface Memories {
  /** null where the host is the device, where RAM is shared, and where nobody says. */
  readonly device: MemoryFacts | null;
  readonly host: MemoryFacts;
}

export interface PlacementOptions {
  readonly sizes: PassSizes;
  /** What there is: memoriesHere() or memoriesOf(). */
  readonly memories: Memories;
  /** --vram and --ram. */
  readonly vram?: BudgetWish | undefined;
  readonly ram?: BudgetWish | undefined;
  /** Rows of the passes that are to be fast. Default 1. */
  readonly rows?: number | undefined;
  /** Index into machine.disks for each of the model's files. */
  readonly disks?: readonly number[] | undefined;
  /** Of the CPU's products. Default: the cores, but for one beside a device, and one where a drive is read as well. */
  readonly threads?: number | undefined;
  /** Whether the CPU may compute units out of RAM. Default true. */
  readonly cpuComputes?: boolean | undefined;
  /**
   * To compare: plans out of VRAM only by copying (`host-copy`), or only by computing as far as the CPU can (`host-compute`).
   * Default: whatever is fastest.
   */
  readonly pure?: PurePlan | undefined;
}

export type PurePlan = 'host-copy' | 'host-compute';
const PURE_KINDS: Readonly<Record<PurePlan, PlacementKind>> = {
  'host-copy': 'stream-all',
  'host-compute': 'compute-all',
};

export interface Placement {
  readonly request: PlanRequest;
  readonly answer: PlanAnswer;
  readonly budgets: { readonly device: MemoryBudget | null; readonly host: MemoryBudget };
  /** Of the CPU's products, where it computes units beside a device. */
  readonly cpuThreads: number;
}

/** What is free now on the machine that this process runs on. */
export async function memoriesHere(backend: Pick<Backend, 'device' | 'memory'>): Promise<Memories> {
  const device = backend.device.hostIsDevice ? null : await deviceMemory(backend);
  return { device, host: hostMemory() };
}

/** All that a machine of a description has. */
export function memoriesOf({ device, host }: Machine): Memories {
  const isOwn = !device.hostIsDevice && device.kind === 'discrete-gpu' && device.memoryBytes !== null;
  return {
    device: isOwn ? { name: 'VRAM', totalBytes: device.memoryBytes, freeBytes: null } : null,
    host: { name: 'RAM', totalBytes: host.memoryBytes, freeBytes: null },
  };
}

/**
 * Throws NtxError('bad-argument') for budgets that cannot be, or a device that does not say what it has, and what planModel
 * throws.
 */
export function planFor(gguf: GgufModel, model: Model, machine: Machine, options: PlacementOptions): Placement {
  const budgets = budgetsOf(machine.device, options);
  const { cores } = machine.host;
  const plan = (threads: number): Placement => {
    const question = { gguf, model, machine, options, budgets, threads };
    // Nothing is out of VRAM then: a device is used for what was asked to run on it, slow as it may be.
    const fits = fitsDevice(model, machine.device, options.sizes, budgets, threads);
    return settle(question, !fits && options.cpuComputes !== false);
  };
  if (options.threads !== undefined || machine.link === null) return plan(options.threads ?? cores);
  const first = plan(Math.max(1, cores - 1)); // what enqueues needs a core
  const { tiers, schedules } = first.answer.plan;
  const readsBeside = tiers.includes('disk') && schedules.some(({ onCpu }) => onCpu.length > 0);
  return readsBeside && cores > 2 ? plan(cores - 2) : first; // and what reads another
}

/**
 * Whether all of a model has its place where it is computed: weights, buffers, and one recording.
 * @param more bytes that the device is to have room for as well
 */
export function fitsDevice(
  model: Model,
  { backend, hostIsDevice }: Pick<Machine['device'], 'backend' | 'hostIsDevice'>,
  sizes: PassSizes,
  { device, host }: Placement['budgets'],
  threads: number,
  more = 0,
): boolean {
  const passes = passBytes(backend, model, residentPlan(model), sizes, threads);
  const { onDevice, inHost } = residentsOf(model, sizes, passes);
  const sum = (residents: readonly Resident[]) => residents.reduce((bytes, resident) => bytes + resident.bytes, 0);
  const weights = unitBytes(model, hostIsDevice);
  if (hostIsDevice) return weights + sum(onDevice) + sum(inHost) <= host.bytes;
  return weights + sum(onDevice) + more <= device!.bytes && sum(inHost) <= host.bytes;
}

interface Question {
  readonly gguf: GgufModel;
  readonly model: Model;
  readonly machine: Machine;
  readonly options: PlacementOptions;
  readonly budgets: Placement['budgets'];
  readonly threads: number;
}

/**
 * A plan with room for its own passes: how many recordings they are, and how many rows the CPU computes at a time, only the plan
 * says.
 */
function settle(question: Question, cpuComputes: boolean): Placement {
  const { gguf, model, machine, options, budgets, threads } = question;
  const { sizes, rows = 1, disks } = options;
  const bytesOf = (plan: Parameters<typeof passBytes>[2]) =>
    passBytes(machine.device.backend, model, plan, sizes, threads);
  const one = bytesOf(residentPlan(model));
  // What only some classes compute on the CPU makes their passes differ.
  const mayDiffer = cpuComputes && machine.device.sharesPages && options.pure !== 'host-copy';
  const lists = mayDiffer ? classCount(sizes) : 1;
  let passes: PassBytes = { device: lists * one.device, host: lists * one.host, cpu: 0 };
  for (;;) {
    const request = buildRequest(gguf, model, machine, { sizes, budgets, rows, disks, threads, cpuComputes, passes });
    let answer: PlanAnswer;
    try {
      answer = planModel(request, options.pure && PURE_KINDS[options.pure]);
    } catch (error) {
      // What the CPU computes with, and what it makes of the device's passes, may be what has no room.
      const asksMore = passes.cpu > 0 || passes.device > one.device;
      if (asksMore && error instanceof NtxError && error.code === 'no-memory') return settle(question, false);
      throw error;
    }
    const taken = bytesOf(answer.plan);
    const settled = withPasses(request, model, sizes, taken);
    if (holds(settled, answer)) return { request: settled, answer, budgets, cpuThreads: threads };
    const { device, host, cpu } = passes;
    passes = {
      device: Math.max(device, taken.device),
      host: Math.max(host, taken.host),
      cpu: Math.max(cpu, taken.cpu),
    };
  }
}

/** Whether what the answer takes is within the request's budgets. */
function holds({ device, host }: PlanRequest, { use }: PlanAnswer): boolean {
  const onHost = use.host + use.staging;
  if (device === null) return use.device + onHost <= freeBytes(host);
  return use.device + use.slots <= freeBytes(device) && onHost <= freeBytes(host);
}

/** Throws NtxError('bad-argument') for budgets that cannot be, or a device that does not say what it has. */
export function budgetsOf(
  device: Pick<Machine['device'], 'backend' | 'name' | 'kind' | 'hostIsDevice'>,
  { memories, vram, ram }: Pick<PlacementOptions, 'memories' | 'vram' | 'ram'>,
): Placement['budgets'] {
  if (device.hostIsDevice) {
    if (vram === undefined) return { device: null, host: budgetOf(memories.host, ram) };
    throw new NtxError('bad-argument', `--vram: the ${device.backend} backend computes in RAM`, 'say --ram');
  }
  if (memories.device) return { device: budgetOf(memories.device, vram), host: budgetOf(memories.host, ram) };
  if (device.kind === 'discrete-gpu') {
    if (vram !== undefined && 'bytes' in vram) {
      const own = { bytes: vram.bytes, reason: 'as asked for', exceedsFree: false } as const;
      return { device: own, host: budgetOf(memories.host, ram) };
    }
    const message = `${device.name} does not say how much memory it has`;
    throw new NtxError('bad-argument', message, 'say how much of it ntx may take: --vram 12GiB');
  }
  return sharedBudgets(memories.host, vram, ram);
}

/** An integrated or software device: what it takes, the host does not have. */
function sharedBudgets(host: MemoryFacts, vram: BudgetWish | undefined, ram: BudgetWish | undefined) {
  const all = budgetOf(host, undefined);
  const shared: MemoryFacts = { name: 'VRAM', totalBytes: host.totalBytes, freeBytes: host.freeBytes };
  const own = vram === undefined ? { ...all, bytes: Math.floor(SHARED_PART * all.bytes) } : budgetOf(shared, vram);
  const rest = { ...all, bytes: Math.max(0, all.bytes - own.bytes) };
  return { device: own, host: ram === undefined ? rest : budgetOf(host, ram) };
}
