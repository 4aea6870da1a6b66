// From a model, a machine and wishes to a plan: budgets, the planner's question, its answer.
import type { Backend, PassSizes } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { GgufModel } from '../gguf/types.js';
import type { Model } from '../model/index.js';
import type { PlanAnswer } from './answer.js';
import { type BudgetWish, budgetOf, hostMemory, type MemoryBudget, type MemoryFacts } from './budget.js';
import { buildRequest } from './build-request.js';
import { deviceMemory } from './device-memory.js';
import type { Machine } from './machine.js';
import { planModel } from './planner.js';
import type { PlanRequest } from './request.js';
import type { PlacementKind } from './wire.js';

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
  const budgets = budgetsOf(machine, options);
  const kind = options.pure && PURE_KINDS[options.pure];
  const plan = (threads: number): Placement => {
    const request = buildRequest(gguf, model, machine, { ...options, threads, rows: options.rows ?? 1, budgets });
    return { request, answer: planModel(request, kind), budgets, cpuThreads: threads };
  };
  const { cores } = machine.host;
  if (options.threads !== undefined || machine.link === null) return plan(options.threads ?? cores);
  const first = plan(Math.max(1, cores - 1)); // what enqueues needs a core
  const { tiers, schedules } = first.answer.plan;
  const readsBeside = tiers.includes('disk') && schedules.some(({ onCpu }) => onCpu.length > 0);
  return readsBeside && cores > 2 ? plan(cores - 2) : first; // and what reads another
}

function budgetsOf({ device }: Machine, { memories, vram, ram }: PlacementOptions): Placement['budgets'] {
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
